import { type BytesIn, type Endpoint, PlatformError } from '@morpheo/common';

/** The input of a call, by the names that its contract gives the parts. */
export interface RawInput {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

/** A request, ready to be sent. */
export interface RawRequest {
  /** The path with its query. */
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string | Blob | ReadableStream<Uint8Array> | undefined;
  /** What the source of the body threw, where it did: not a fault of the network. */
  sourceError(): unknown;
}

const ACCEPT = {
  json: 'application/json, application/problem+json',
  bytes: '*/*',
  events: 'text/event-stream, application/problem+json',
  headers: 'application/problem+json',
  none: 'application/problem+json, application/json',
  unread: 'application/problem+json, application/json',
} as const;

/** Makes the request of a call. Throws `invalid_request` where a path parameter cannot stand in a path. */
export function buildRequest(endpoint: Endpoint, input: RawInput): RawRequest {
  const headers: Record<string, string> = {
    accept: ACCEPT[endpoint.response.type],
    ...toTexts(input.headers),
  };
  const query = new URLSearchParams(toTexts(input.query)).toString();
  const path = `${fillPath(endpoint, input.params ?? {})}${query === '' ? '' : `?${query}`}`;
  const none = { path, headers, sourceError: () => undefined };
  if (endpoint.body?.type === 'json') {
    return {
      ...none,
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(input.body),
    };
  }
  if (endpoint.body?.type !== 'bytes') return none;
  // The contract's types bind a body of bytes to this form.
  const bytes = input.body as BytesIn;
  const described = { ...headers, ...describe(bytes, endpoint.body.mediaType) };
  if (bytes.blob !== undefined) return { ...none, headers: described, body: bytes.blob };
  return { path, headers: described, ...toStream(bytes.body) };
}

function fillPath({ path }: Endpoint, params: Readonly<Record<string, unknown>>): string {
  return path.replaceAll(/:(\w+)/g, (_match, name: string) => {
    const value = encodeURIComponent(String(params[name] ?? ''));
    // Segments of dots are taken for steps by whoever reads the URL.
    if (/^\.{0,2}$/.test(value)) {
      throw new PlatformError(
        'invalid_request',
        `The path parameter ${name} is "${value}": it must name something.`,
      );
    }
    return value;
  });
}

function toTexts(values: Readonly<Record<string, unknown>> = {}): Record<string, string> {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

function describe(bytes: BytesIn, mediaType: string): Record<string, string> {
  const known = {
    'content-type': bytes.contentType ?? mediaType,
    'content-length': bytes.blob === undefined ? bytes.contentLength : undefined,
    'content-digest': bytes.contentDigest,
  };
  return toTexts(known);
}

/** The bytes as a stream that is read no faster than it is sent. */
function toStream(
  source: AsyncIterable<Uint8Array>,
): Pick<RawRequest, 'body' | 'sourceError'> & { body: ReadableStream<Uint8Array> } {
  const iterator = source[Symbol.asyncIterator]();
  let failure: unknown;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await iterator.next();
          if (next.done === true) controller.close();
          else controller.enqueue(next.value);
        } catch (error) {
          failure = error;
          throw error;
        }
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return { body, sourceError: () => failure };
}
