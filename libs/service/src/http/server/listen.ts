import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { PlatformError } from '@morpheo/common';
import { checkKeyPair, startLoop, watchFiles } from '../../lifecycle/index.ts';
import type { Log } from '../../log/index.ts';
import { hostGuard } from '../access/bind.ts';
import { bareProblem } from '../answers/problem.ts';
import { send } from '../answers/send.ts';
import type { HttpApp } from './serve.ts';
import { answerUnreadable } from './unreadable.ts';

/** A certificate and its key. */
export interface ListenTls {
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
  /** Where they were read, if new connections are to get what these files hold when they change. */
  readonly files?: { readonly cert: string; readonly key: string } | undefined;
  /** How often the files are looked at, in milliseconds; see `watchFiles`. */
  readonly everyMs?: number | undefined;
}

/** Where and how to listen. */
export interface ListenOptions {
  readonly host: string;
  /** 0 for any free port; see `HttpServer.port`. */
  readonly port: number;
  /** Where given, the server speaks HTTPS. */
  readonly tls?: ListenTls | undefined;
  /** Names by which clients may call (without port), against DNS rebinding: others get 403. See {@link hostGuard}. */
  readonly hosts?: readonly string[] | undefined;
  readonly log: Log;
  /** How long `drain` waits for requests under way before it aborts them, in milliseconds; 10 s where absent. */
  readonly graceMs?: number | undefined;
}

/** A server that listens. */
export interface HttpServer {
  /** Such as `http://127.0.0.1:8080`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /**
   * No new connection, idle ones closed, live streams ended; resolves when the last request under way is answered,
   * at the latest a second after the grace time, when what is left is aborted and cut. A second call waits for the
   * same.
   */
  drain(): Promise<void>;
  /** Drains. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** How often it is looked whether connections can be taken, in milliseconds. */
const LOOK_EVERY_MS = 1000;
/** Between the abort of what is left and the end of its connections, in milliseconds. */
const LAST_WORDS_MS = 1000;

/**
 * Listens for an app. Resolves when connections are accepted; throws `unavailable`, with the address and a remedy,
 * where that is not possible, and `invalid_request` where certificate and key are no pair.
 */
export async function listen(app: HttpApp, options: ListenOptions): Promise<HttpServer> {
  const { host, log, graceMs = 10_000 } = options;
  const server = createWith(options);
  await using stack = new AsyncDisposableStack();
  if (server instanceof TlsServer) stack.use(await followFiles(server, options));
  let draining: Promise<void> | undefined;
  const onRequest: RequestListener = (request, response) => {
    if (draining !== undefined) response.shouldKeepAlive = false;
    response.once('close', () => draining !== undefined && server.closeIdleConnections());
    app.handle(request, response);
  };
  const guarded = requireHost(hostGuard(options, onRequest, refuseHost));
  // Whoever waits for leave to send a body gets it when somebody starts to read; what else is expected is passed over,
  // as RFC 9110 §10.1.1 allows.
  server.on('request', guarded).on('checkContinue', guarded).on('checkExpectation', guarded);
  answerUnreadable(server);
  const unused = unusedConnections(server, options);
  const { port } = await bound(server, options);
  server.on('error', (error) => log.error({ error }, 'The server failed'));
  const url = urlOf(options, port);
  log.info({ url, host }, 'Listening');
  stack.use(startLoop({ name: 'open files', everyMs: LOOK_EVERY_MS, work: app.descriptors.look, log }));
  const opened = stack.move();
  const drain = () => {
    draining ??= Promise.all([drainServer(server, app, graceMs, unused), opened.disposeAsync()]).then(
      () => undefined,
    );
    return draining;
  };
  return { url, port, drain, [Symbol.asyncDispose]: drain };
}

function createWith({ tls }: ListenOptions): Server {
  // Uploads may take any time: their bodies are watched for silence instead (`Limits.idleMs`).
  const limits = {
    ...{ requestTimeout: 0, headersTimeout: 20_000, keepAliveTimeout: 30_000 },
    // It is required here, with a body that says so: Node's refusal has none.
    requireHostHeader: false,
  };
  if (tls === undefined) return createServer(limits);
  return createTlsServer({ ...limits, ...secured(tls) });
}

/** What a TLS server is made with, or goes on with. Throws `invalid_request` where certificate and key are no pair. */
function secured({ cert, key }: Pick<ListenTls, 'cert' | 'key'>): SecureContextOptions {
  const options = { cert, key, minVersion: 'TLSv1.2' } as const;
  checkKeyPair(options);
  return options;
}

/** Gives new connections the certificate that is in the files; those that are open stay as they are. */
async function followFiles(server: TlsServer, { tls, log }: ListenOptions): Promise<AsyncDisposable> {
  const { files, everyMs } = tls ?? {};
  if (files === undefined) return { [Symbol.asyncDispose]: async () => undefined };
  return await watchFiles({
    name: 'TLS certificate and key',
    paths: [files.cert, files.key],
    changed: ([cert = '', key = '']) => server.setSecureContext(secured({ cert, key })),
    ...{ everyMs, log },
  });
}

const refuseHost: RequestListener = (request, response) => {
  const error = new PlatformError(
    'forbidden',
    'This service is not known by the name in the Host field: call it by another, or have its operator add that one to --hosts.',
  );
  void send(request, response, bareProblem(error));
};

/** Lets only requests pass that have a `Host` field, where their version of HTTP asks for it (RFC 9112 §3.2). */
function requireHost(pass: RequestListener): RequestListener {
  return (request, response) => {
    if (request.headers.host !== undefined || request.httpVersion !== '1.1') return pass(request, response);
    const error = new PlatformError('invalid_request', 'The request has no Host field: send one.');
    response.shouldKeepAlive = false;
    void send(request, response, bareProblem(error));
  };
}

const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process uses this address; stop it, or choose another port',
  EACCES: 'this user may not; choose a port above 1023',
  EADDRNOTAVAIL: 'this machine does not have this address; choose one of its own',
  ENOTFOUND: 'this name is not known; choose an address of this machine',
};

async function bound(server: Server, { host, port }: ListenOptions): Promise<AddressInfo> {
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new PlatformError('unavailable', `Cannot listen on ${host}:${port}: ${REMEDIES[code] ?? code}.`, {
      cause,
    });
  }
  // A server that listens on a port, not on a pipe, has an address of this form.
  return server.address() as AddressInfo;
}

function urlOf({ host, tls }: ListenOptions, port: number): string {
  const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `${tls === undefined ? 'http' : 'https'}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

/** The connections on which no request has come yet: `closeIdleConnections` does not know them. */
function unusedConnections(server: Server, { tls }: ListenOptions): ReadonlySet<Socket> {
  const unused = new Set<Socket>();
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  const used = ({ socket }: IncomingMessage) => void unused.delete(socket);
  server.on('request', used).on('checkContinue', used).on('checkExpectation', used);
  return unused;
}

async function drainServer(
  server: Server,
  app: HttpApp,
  graceMs: number,
  unused: ReadonlySet<Socket>,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  for (const socket of unused) socket.destroy();
  app.endStreams();
  const abort = setTimeout(() => app.abort(), graceMs);
  const cut = setTimeout(() => server.closeAllConnections(), graceMs + LAST_WORDS_MS);
  await closed;
  clearTimeout(abort);
  clearTimeout(cut);
}
