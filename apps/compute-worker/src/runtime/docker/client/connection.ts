import { type ClientRequest, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { PlatformError } from '@morpheo/common';
import Docker from 'dockerode';
import type { DaemonAddress, DaemonCertificates } from './address.ts';

/** How a daemon is spoken to. */
export interface ConnectionOptions {
  readonly address: DaemonAddress;
  /** With them the connection is TLS, and both sides are verified. */
  readonly certificates?: DaemonCertificates | undefined;
  /** Of the API, such as `1.41`; without one the daemon's own. */
  readonly version?: string;
}

/**
 * A client of a daemon. Nothing is connected yet. Each request has a connection of its own: one that is kept may have
 * died with an earlier daemon, which is found out too late for a request that must not be sent twice.
 */
export function openConnection({ address, certificates, version }: ConnectionOptions): Docker {
  const agent = withoutRedirects(certificates === undefined ? new HttpAgent() : new HttpsAgent());
  // Whatever is not said here, the client takes from DOCKER_HOST and its kind in the environment.
  const nothing = { ca: '', cert: '', key: '', username: '', password: '', timeout: 0, pathPrefix: '/' };
  const target =
    address.kind === 'socket'
      ? { host: '', port: '', socketPath: address.path }
      : { host: address.host, port: address.port, socketPath: '' };
  try {
    const options = {
      ...nothing,
      ...target,
      ...certificates,
      sshOptions: {},
      protocol: certificates === undefined ? ('http' as const) : ('https' as const),
      agent,
      ...(version === undefined ? {} : { version: `v${version}` }),
    };
    return new Docker(options);
  } catch (cause) {
    throw new PlatformError(
      'invalid_request',
      'DOCKER_HOST, DOCKER_CERT_PATH and their kind are set in the environment, and cannot be read: unset them.',
      { cause },
    );
  }
}

interface Asking {
  addRequest(request: ClientRequest, options: unknown): void;
}

/**
 * The client follows a redirect, wherever it leads, and ends the process where it leads nowhere. No daemon has reason
 * to send one, but what is no daemon may: without a location, such an answer is an error like any other.
 */
function withoutRedirects<T extends HttpAgent>(agent: T): T {
  // Node calls it for every request, and its types leave it out.
  const asking = agent as unknown as Asking;
  const add = asking.addRequest.bind(agent);
  asking.addRequest = (request, options) => {
    request.prependListener('response', ({ headers }) => {
      delete headers.location;
    });
    add(request, options);
  };
  return agent;
}

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
