import { type ClientRequest, Agent as HttpAgent } from 'node:http';
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
  const place =
    address.kind === 'socket'
      ? { host: '', port: '', socketPath: address.path }
      : { host: address.host, port: address.port, socketPath: '' };
  try {
    const options = {
      ...nothing,
      ...place,
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
