import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import {
  type Content,
  decodeGoJson,
  type Endpoint,
  GoJsonError,
  issueMessage,
  PlatformError,
} from '@morpheo/common';
import { z } from 'zod';
import { readBody, streamBody } from './request-body.ts';

/** The parts of a request before its body. */
export interface Parts {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: IncomingHttpHeaders;
}

/** The input of a handler, by the names that the contract gives its parts. */
export type ParsedInput = Record<string, unknown>;

/**
 * Whether a path is one of the route: each parameter that chooses the route (an enumeration) has one of its values.
 * With another, such a path does not exist, which is told before anybody is asked for credentials.
 */
export function isPathOf(endpoint: Endpoint, params: Parts['params']): boolean {
  return Object.entries(endpoint.params?.shape ?? {}).every(
    ([name, schema]) => !(schema instanceof z.ZodEnum) || schema.safeParse(params[name]).success,
  );
}

/** Reads the parts before the body by the contract. Throws `invalid_request`, naming the place of each misfit. */
export function parseParts(endpoint: Endpoint, parts: Parts): ParsedInput {
  const input: ParsedInput = {};
  for (const place of ['params', 'query', 'headers'] as const) {
    const schema = endpoint[place];
    if (schema !== undefined) input[place] = fit(schema, parts[place], place);
  }
  return input;
}

/**
 * Reads the body by the contract: JSON whole and within the limits, bytes as a stream.
 * Throws `invalid_json`, `invalid_request`, `too_large`, `unsupported_media_type`, `timed_out`, `cancelled`.
 */
export async function parseBody(
  content: Content,
  request: IncomingMessage,
  response: ServerResponse,
  limits: Required<Limits>,
): Promise<unknown> {
  if (content.type === 'bytes') return streamBody(request, response, limits.idleMs);
  if (content.type !== 'json') return undefined;
  if (content.go !== true) requireJson(request.headers, content.declared === true);
  const raw = await readBody(request, response, {
    limit: content.bytes ?? limits.jsonBytes,
    ms: limits.jsonMs,
  });
  return content.go === true ? decodeGo(raw, content.schema) : fit(content.schema, decodeJson(raw), 'body');
}

const strict = new TextDecoder('utf-8', { fatal: true });
/** As the originals' decoder: bytes that are not UTF-8 are replaced, a byte order mark is no white space. */
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });

function decodeGo(raw: Buffer, schema: z.ZodType): unknown {
  try {
    return decodeGoJson(lenient.decode(raw), schema);
  } catch (cause) {
    if (!(cause instanceof GoJsonError)) throw cause;
    throw new PlatformError('invalid_json', `Error decoding body to JSON: ${cause.message}`, { cause });
  }
}

function decodeJson(raw: Buffer): unknown {
  if (raw.length === 0) throw new PlatformError('invalid_json', 'The body is empty: send JSON.');
  try {
    return JSON.parse(strict.decode(raw));
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? cause.message : 'it is not UTF-8';
    throw new PlatformError('invalid_json', `The body is not JSON: ${reason}.`, { cause });
  }
}

function requireJson(headers: IncomingHttpHeaders, declared: boolean): void {
  const type = headers['content-type'];
  const coding = headers['content-encoding'] ?? 'identity';
  const fits =
    (type === undefined && !declared) ||
    /^application\/(?:[\w.+-]+\+)?json *(?:; *charset="?utf-?8"? *)?$/i.test(type ?? '');
  if (fits && coding === 'identity') return;
  throw new PlatformError(
    declared ? 'invalid_json' : 'unsupported_media_type',
    `The body is ${type ?? 'of no type'} (${coding}): send application/json in UTF-8, not compressed.`,
  );
}

const TOLD = 5;

function fit(schema: z.ZodType, value: unknown, place: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, TOLD).map((issue) => ({
    at: [place, ...issue.path].join('.'),
    message: issueMessage(issue),
  }));
  throw new PlatformError(
    'invalid_request',
    issues.map(({ at, message }) => `${at}: ${message}`).join('; '),
    {
      details: { issues },
    },
  );
}

/** Bounds on what one request may take; each has a default. */
export interface Limits {
  /** A JSON body, in bytes; 1 MiB where absent. */
  readonly jsonBytes?: number;
  /** How long a JSON body may take to arrive, in milliseconds; 30 s where absent. */
  readonly jsonMs?: number;
  /** How long an upload may be silent, in milliseconds; 60 s where absent. It may take any time in all. */
  readonly idleMs?: number;
  /** How often an event stream says that it lives, in milliseconds; 15 s where absent. */
  readonly heartbeatMs?: number;
}

/** {@link Limits} with the defaults filled in. */
export function withDefaults(limits: Limits = {}): Required<Limits> {
  return { jsonBytes: 1024 * 1024, jsonMs: 30_000, idleMs: 60_000, heartbeatMs: 15_000, ...limits };
}
