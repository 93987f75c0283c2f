import type { IncomingMessage } from 'node:http';
import type Docker from 'dockerode';

/** A request that the client has no method for, or none that heeds an abort or a broken connection. */
export interface DialRequest {
  readonly method: 'GET' | 'POST';
  /** Without a query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Ends the request, and the answer where it is a stream. */
  readonly signal?: AbortSignal;
}

const STATUSES = {
  200: true,
  400: 'bad parameter',
  404: 'not found',
  409: 'conflict',
  500: 'server error',
} as const;

/** Sends a request and resolves with the JSON of its answer. */
export async function dialJson(docker: Docker, request: DialRequest): Promise<unknown> {
  return await dial(docker, request, false);
}

/**
 * Sends a request and resolves with its answer as soon as that begins. Unlike the client's own methods, reading it
 * fails where the connection breaks: theirs never settle then.
 */
export async function dialStream(docker: Docker, request: DialRequest): Promise<IncomingMessage> {
  return (await dial(docker, request, true)) as IncomingMessage;
}

async function dial(docker: Docker, request: DialRequest, isStream: boolean): Promise<unknown> {
  const { method, query, signal } = request;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  // The client cuts the last character of a path that has a question mark, and no options for a query.
  const path = query === undefined ? request.path : `${request.path}?`;
  const asked = query === undefined ? {} : { options: { _query: query, _body: {} } };
  const options = {
    method,
    path,
    ...asked,
    isStream,
    statusCodes: STATUSES,
    ...(signal && { abortSignal: signal }),
  };
  docker.modem.dial(options, (error, answer: unknown) => (error ? reject(error) : resolve(answer)));
  return await promise;
}
