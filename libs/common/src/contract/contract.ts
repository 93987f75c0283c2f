import type * as z from 'zod';
import type { ErrorCode } from '../errors.ts';
import type { Ticket } from './ticket.ts';

/**
 * One contract an API: from it come the routes that serve it, the typed client, the OpenAPI document and the types
 * of handlers and fakes. A route exists here or nowhere.
 */

/**
 * The roles that a credential may carry. `admin` may call everything and need not be listed; `compute` is compute-api's
 * own at storage-api, where `worker` and `orchestrator` open nothing that is not everybody's.
 */
export const CREDENTIAL_ROLES = ['admin', 'orchestrator', 'compute', 'worker', 'uploader', 'reader'] as const;

/** A role that a credential may carry. */
export type CredentialRole = (typeof CREDENTIAL_ROLES)[number];

/** Who may call: those with credentials, and `attempt`, which only a ticket of an attempt gives. */
export const ROLES = [...CREDENTIAL_ROLES, 'attempt'] as const;

/** What a caller may do. */
export type Role = (typeof ROLES)[number];

/** Any caller with credentials; a ticket opens none of it. */
export const ANYONE_KNOWN: readonly Role[] = CREDENTIAL_ROLES;

/** The body of a request or an answer. */
export type Content<S extends z.ZodType = z.ZodType> =
  /**
   * JSON that fits a schema; `go` reads it by the rules of the originals (see `wire/go-json.ts`). A body has at most
   * `bytes`; what the service takes where absent. One that does not say that it is JSON is `invalid_json` where it has to
   * be `declared`, as to some of the originals; elsewhere it is `unsupported_media_type` where it says something else.
   */
  | {
      readonly type: 'json';
      readonly schema: S;
      readonly go?: true;
      readonly bytes?: number;
      readonly declared?: true;
    }
  /** JSON that fits a schema where our services give it; a client looks at the status alone and reads none of it. */
  | { readonly type: 'unread'; readonly schema: S }
  /**
   * Bytes as they come, never held whole; of lines of JSON each fits the schema `line`. Where they are one JSON text that
   * the handler itself reads or writes, that fits `whole`.
   */
  | { readonly type: 'bytes'; readonly mediaType: string; readonly line?: S; readonly whole?: S }
  /** Server-Sent Events whose data fits a schema. */
  | { readonly type: 'events'; readonly schema: S }
  /** No content: what there is to tell stands in headers, each with what it says, by lower-case name. */
  | { readonly type: 'headers'; readonly headers: Readonly<Record<string, string>> }
  | { readonly type: 'none' };

/** One route of an API. */
export interface Endpoint {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';
  /** Path with parameters as `:name`. Where two paths match, the one that stands first in the contract wins. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  /** The roles that may call; `public` needs no credentials; `intake` is public where the service allows it. */
  readonly access: 'public' | 'intake' | readonly Role[];
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** Request headers that matter to the handler, by lower-case name. */
  readonly headers?: z.ZodObject;
  readonly body?: Content;
  readonly status: number;
  readonly response: Content;
  /**
   * Of a route that may put off what it is asked for: where that is found (`Location`), from what the handler has answered;
   * undefined where it was not put off. Put off, the status is 202, whatever `status` says.
   */
  readonly deferred?: (output: unknown) => string | undefined;
  /** Headers of every answer of the route, refusals included, by lower-case name. */
  readonly always?: Readonly<Record<string, string>>;
  readonly errors: readonly ErrorCode[];
  /** JSON that the handler of a route of bytes answers with another status, by that status. */
  readonly also?: Readonly<Record<number, z.ZodType>>;
  /** A route of the originals: its errors are `application/json`, its 401 may have no body. */
  readonly classic?: true;
}

/** An API: its name, the words of its document, and its routes. */
export interface Contract<E extends Record<string, Endpoint> = Record<string, Endpoint>> {
  readonly title: string;
  readonly description: string;
  /** The member of an error body that carries the text, as the original had it; `message` is all that such a body has. */
  readonly errorKey: 'error' | 'Error' | 'message';
  /** The realm of `WWW-Authenticate`. */
  readonly realm: string;
  /** The originals' storage answers 401 with an empty body on its routes. */
  readonly emptyUnauthorized?: true;
  /** The path parameter that names an order; one called `attempt` beside it names the attempt. Logs tell of both. */
  readonly order?: string;
  /** The originals answer errors with pages of HTML, but for a 404, and a wrong method with 405. */
  readonly errorPages?: true;
  /** A POST to a path that begins so is of the method that `X-HTTP-Method-Override` names. */
  readonly methodOverride?: string;
  /** Where the original had its document, of OpenAPI 3.0, and the pages to read it; beside those of every service. */
  readonly documents?: { readonly openapi: string; readonly pages: readonly string[] };
  readonly endpoints: E;
}

/** Declares an API; the identity function that keeps the exact types. */
export function defineContract<const E extends Record<string, Endpoint>>(contract: Contract<E>): Contract<E> {
  return contract;
}

/** Content of JSON; `bytes` is the most that a body may have, where that is not what the service takes anywhere. */
export function json<S extends z.ZodType>(schema: S, bytes?: number) {
  return { type: 'json', schema, ...(bytes === undefined ? {} : { bytes }) } as const;
}

/** Content of JSON that says that it is JSON; see {@link Content}. */
export function declaredJson<S extends z.ZodType>(schema: S, bytes?: number) {
  return { ...json(schema, bytes), declared: true } as const;
}

/** Content of JSON that is read by the rules of the originals. */
export function goJson<S extends z.ZodType>(schema: S) {
  return { type: 'json', schema, go: true } as const;
}

/** Content of JSON that no client reads: whoever answers may say anything, or nothing. */
export function unread<S extends z.ZodType>(schema: S) {
  return { type: 'unread', schema } as const;
}

/** Content of bytes. */
export function bytes(mediaType = 'application/octet-stream') {
  return { type: 'bytes', mediaType } as const;
}

/** Content of one JSON text, which the handler itself reads or writes as bytes. */
export function jsonText<S extends z.ZodType>(whole: S) {
  return { type: 'bytes', mediaType: 'application/json', whole } as const;
}

/** Content of lines of JSON (NDJSON), each of which fits a schema; read and written as bytes. */
export function jsonLines<S extends z.ZodType>(line: S) {
  return { type: 'bytes', mediaType: 'application/x-ndjson', line } as const;
}

/** No content, but headers: what each says, by lower-case name. */
export function headersOnly(headers: Readonly<Record<string, string>>) {
  return { type: 'headers', headers } as const;
}

/** Content of Server-Sent Events. */
export function events<S extends z.ZodType>(schema: S) {
  return { type: 'events', schema } as const;
}

/** No content. */
export const nothing = { type: 'none' } as const;

/** The bytes of a request. The headers that describe them come along; `body` can be read once. */
export interface BytesIn {
  /** Pieces are good until the next one is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
  /** The same bytes, where a client has them as a Blob: it is sent as it is, with its length. A service never has it. */
  readonly blob?: Blob | undefined;
  readonly contentType?: string | undefined;
  /** In bytes; absent where the sender does not say (chunked). */
  readonly contentLength?: number | undefined;
  /** The `Content-Digest` field (RFC 9530) as it came. */
  readonly contentDigest?: string | undefined;
}

/** The bytes of an answer, with the status and headers that describe them (206, 304, `ETag`, …). */
export interface BytesOut {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Absent for HEAD, 304 and the like. Whoever receives it reads it to the end or cancels it. */
  readonly body?: ReadableStream<Uint8Array> | undefined;
}

/** An answer without content: what there is to tell, by lower-case name. */
export interface HeadersOut {
  readonly headers: Readonly<Record<string, string>>;
}

/** One Server-Sent Event; `id` is what a client sends back as `Last-Event-ID` to go on from here. */
export interface ServerEvent<T> {
  readonly id: string;
  readonly event: string;
  readonly data: T;
}

/** Who calls, as the service found out from the credentials. */
export interface Principal {
  readonly name: string;
  readonly roles: readonly Role[];
  /** One of the people, known by a token; absent for callers of the credentials file, which the operator writes. */
  readonly isPerson?: boolean | undefined;
  /** What the ticket says that the caller has shown in place of credentials; its one role is `attempt`. */
  readonly ticket?: Ticket | undefined;
}

/** What comes beside the input of a call. */
export interface Call {
  /** Aborts the call: a client gives up, a handler stops its work. */
  readonly signal?: AbortSignal | undefined;
  /** Set by the service; clients leave it out. */
  readonly principal?: Principal | undefined;
  /** Set by the service: resolves when the answer was sent, to whether all of it left this machine's program. */
  readonly sent?: Promise<'whole' | 'cut'> | undefined;
}

type Out<S> = S extends z.ZodType ? z.output<S> : never;

type BodyIn<C> = C extends { type: 'json'; schema: infer S }
  ? { body: Out<S> }
  : C extends { type: 'bytes' }
    ? { body: BytesIn }
    : unknown;

type Answer<C> = C extends { type: 'json'; schema: infer S }
  ? Out<S>
  : C extends { type: 'bytes' }
    ? BytesOut
    : C extends { type: 'events'; schema: infer S }
      ? AsyncIterable<ServerEvent<Out<S>>>
      : C extends { type: 'headers' }
        ? HeadersOut
        : C extends { type: 'unread' }
          ? unknown
          : undefined;

type Part<E, K extends 'params' | 'query' | 'headers'> =
  E extends Record<K, infer S> ? (S extends z.ZodType ? Record<K, z.output<S>> : unknown) : unknown;

/** The input of an endpoint: `params`, `query`, `headers` and `body`, as far as the contract names them. */
export type Input<E> = Part<E, 'params'> &
  Part<E, 'query'> &
  Part<E, 'headers'> &
  (E extends { body: infer C } ? BodyIn<C> : unknown);

/** What an endpoint answers. */
export type Output<E> = E extends { response: infer C } ? Answer<C> : never;

/**
 * The functions of an API: what a service implements, what a client offers and what a test may stand in for.
 * They throw `PlatformError`.
 */
export type Api<C extends Contract> = {
  readonly [K in keyof C['endpoints']]: (
    input: Input<C['endpoints'][K]>,
    call?: Call,
  ) => Promise<Output<C['endpoints'][K]>>;
};
