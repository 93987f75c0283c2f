import { type Api, type Contract, type Endpoint, isPlatformError, PlatformError } from '@morpheo/common';
import { readAnswer } from './answer.ts';
import { retryAfterMs, toError } from './peer-error.ts';
import { buildRequest, type RawInput } from './request.ts';
import { sleep } from './resume.ts';
import { toNetworkError } from './where.ts';

/** Where a service is, and who calls. */
export interface ClientOptions {
  /** Such as `http://127.0.0.1:8080`; a path is kept as a prefix, a name and secret in it are the credentials. */
  readonly url: string;
  /** Sent as Basic credentials. */
  readonly credentials?: { readonly name: string; readonly secret: string } | undefined;
  /** Asked at each request for a token that is sent as Bearer in place of the credentials; they are where it has none. */
  readonly token?: (() => string | undefined) | undefined;
  /** The `fetch` to call with; the global one where absent. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Headers that go with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Asked at each request for headers that tell what it is for, such as `traceparent` and `baggage`. */
  readonly about?: (() => Readonly<Record<string, string>>) | undefined;
}

/** A service as its client sees it. */
interface Peer {
  /** Without a slash at the end. */
  readonly address: string;
  /** Those that go with the next request. */
  readonly headers: () => Readonly<Record<string, string>>;
  readonly fetch: typeof globalThis.fetch;
}

/**
 * A redirect is an error, and no window is asked for credentials: only then nothing may have to be sent twice, and
 * `fetch` keeps no copy of what it sends (Fetch, "HTTP-network-or-cache fetch"): Node would hold a whole upload.
 */
const NO_SECOND_SENDING = { redirect: 'error', window: null } as const;

type Call = (input: RawInput, call?: { readonly signal?: AbortSignal | undefined }) => Promise<unknown>;

/**
 * An API over HTTP, by its contract: each function sends one request and resolves to what the contract says.
 *
 * Throws `PlatformError`: an error answer with the code, text and details that the service gave (of a service that
 * gives no code, the one of the status); `unavailable` where no answer comes, or none that is whole; `internal` where
 * the answer does not fit the contract. An aborted call throws the reason of its signal.
 *
 * Redirects are not followed: the credentials are for this address. A download whose header `prefer` is `redirect` is
 * the exception: it goes where the service sends it, without them. What was refused as too much (429) is sent again
 * after the time that the service says, as long as that is not more than some seconds together and the body is no
 * stream: it has changed nothing. Nothing else is tried again here: only the caller knows whether a second call does
 * harm, and how long it may take. There is no time limit of its own either: give a signal.
 */
export function createClient<C extends Contract>(contract: C, options: ClientOptions): Api<C> {
  const peer = peerAt(contract.title, options);
  const functions = Object.entries(contract.endpoints).map(([key, endpoint]): [string, Call] => [
    key,
    (input, call) => untilLetIn(endpoint, call?.signal, () => request(peer, endpoint, input, call?.signal)),
  ]);
  // One function for each endpoint, of its input and output: what Api<C> says.
  return Object.fromEntries(functions) as unknown as Api<C>;
}

/** The longest that calls wait until they are let in, all pauses of one together, in milliseconds. */
const PATIENCE_MS = 15_000;

async function untilLetIn<T>(
  { body }: Endpoint,
  signal: AbortSignal | undefined,
  call: () => Promise<T>,
): Promise<T> {
  for (let waited = 0; ; ) {
    try {
      return await call();
    } catch (error) {
      const isRefusal = isPlatformError(error, 'rate_limited') && body?.type !== 'bytes';
      const ms = isRefusal ? retryAfterMs(error) : 0;
      if (ms === 0 || waited + ms > PATIENCE_MS) throw error;
      await sleep(ms, signal);
      signal?.throwIfAborted();
      waited += ms;
    }
  }
}

async function request(
  peer: Peer,
  endpoint: Endpoint,
  input: RawInput,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const { path, headers, body, sourceError } = buildRequest(endpoint, input);
  const url = `${peer.address}${path}`;
  const where = { method: endpoint.method, url, signal };
  const given = { ...peer.headers(), ...headers };
  // A stream as a body is read while the answer may come already: "half" is the one mode there is (Fetch §5.4).
  const init = {
    method: endpoint.method,
    headers: given,
    ...(body === undefined ? {} : { body, duplex: 'half' }),
    ...(signal === undefined ? {} : { signal }),
    ...NO_SECOND_SENDING,
    ...(asksForRedirect(endpoint, given) ? { redirect: 'follow' as const } : {}),
  };
  let response: Response;
  try {
    response = await peer.fetch(url, init);
  } catch (cause) {
    throw sourceError() ?? toNetworkError(cause, where);
  }
  const unchanged = endpoint.response.type === 'bytes' && response.status === 304;
  if (!response.ok && !unchanged) throw await toError(response, where);
  return readAnswer(response, endpoint, where);
}

/** A download that says `Prefer: redirect` goes where it is sent; `fetch` leaves the credentials behind (Fetch §4.4). */
function asksForRedirect({ method, response }: Endpoint, headers: Readonly<Record<string, string>>): boolean {
  return method === 'GET' && response.type === 'bytes' && headers.prefer === 'redirect';
}

/** A service at an address. Throws `invalid_request` where that is none. */
export function peerAt(
  title: string,
  { url, credentials, token, headers, about, fetch }: ClientOptions,
): Peer {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw new PlatformError('invalid_request', `The address of the ${title} is no http or https URL.`);
  }
  const inUrl = { name: decode(parsed.username), secret: decode(parsed.password) };
  const used = credentials ?? (inUrl.name === '' ? undefined : inUrl);
  return {
    address: `${parsed.origin}${parsed.pathname.replace(/\/+$/, '')}`,
    headers: () => ({ ...about?.(), ...headers, ...authorization(token?.(), used) }),
    fetch: fetch ?? ((...args) => globalThis.fetch(...args)),
  };
}

function authorization(
  token: string | undefined,
  credentials: ClientOptions['credentials'],
): { authorization?: string } {
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  return credentials === undefined ? {} : { authorization: basic(credentials) };
}

/** What stands in a URL; a text that was never encoded stays as it is. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** RFC 7617, in UTF-8. */
function basic({ name, secret }: { readonly name: string; readonly secret: string }): string {
  const bytes = new TextEncoder().encode(`${name}:${secret}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}
