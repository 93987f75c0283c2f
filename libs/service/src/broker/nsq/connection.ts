import { isIP } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, TLSSocket } from 'node:tls';
import type { NSQDConnection, WriterNSQDConnection } from 'nsqjs';
import type { NsqAddress } from './address.ts';
import { CLOSED, NO_SECRET, NO_TLS, SILENT } from './reason.ts';

/** PEM texts for TLS. The name of nsqd's certificate is that of its address. */
export interface NsqTls {
  readonly ca: string;
  /** Ours, where nsqd wants certificates of its clients. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** How connections are secured. */
export interface NsqSecurity {
  readonly tls?: NsqTls | undefined;
  /** What nsqd's authentication server is given. */
  readonly secret?: string | undefined;
}

/** A connection that is ready. */
export interface OpenConnection<C> {
  readonly connection: C;
  /** Resolves, with the reason, when it is closed. */
  readonly closed: Promise<unknown>;
}

/** How long nsqd has to answer a connection; less than what `/ready` waits for. */
const HANDSHAKE_MS = 1500;
/** nsqd sends a sign of life every two seconds; five without one, and it is taken for dead. */
const SIGNS_OF_LIFE = { heartbeatInterval: 2, idleTimeout: 5 } as const;
/** How long nsqd holds messages back to send several at once, in milliseconds; its own 250 would be waited for. */
const OUTPUT_BUFFER_MS = 25;
/** How long nsqd has to end a connection that we end. */
const GOODBYE_MS = 500;
/** What the protocol sends before TLS begins: its version, and the introduction. */
const PLAIN_WRITES = 2;
/** Errors that nsqd does not close the connection for: the message in question is another's by now. */
const HARMLESS = /E_(FIN|REQ|TOUCH)_FAILED/;

/** Connects for publishing. Rejects with the plain reason; see {@link explain}. */
export async function openWriter(
  address: NsqAddress,
  security: NsqSecurity,
  signal: AbortSignal,
): Promise<OpenConnection<WriterNSQDConnection>> {
  const nsqjs = await load();
  const connection = new nsqjs.WriterNSQDConnection(address.host, address.port, configuration(security));
  return await establish(connection, address, security, signal);
}

/** Connects to hear a channel; nsqd makes topic and channel where they are not there, and sends nothing yet. */
export async function openReader(
  address: NsqAddress,
  security: NsqSecurity,
  heard: { readonly topic: string; readonly channel: string },
  signal: AbortSignal,
): Promise<OpenConnection<NSQDConnection>> {
  const options = { ...configuration(security), outputBufferTimeout: OUTPUT_BUFFER_MS };
  const nsqjs = await load();
  const connection = new nsqjs.NSQDConnection(
    address.host,
    address.port,
    heard.topic,
    heard.channel,
    options,
  );
  return await establish(connection, address, security, signal);
}

/** Ends a connection once nsqd has got all that was sent, or after half a second. */
export async function closeGently({ connection, closed }: OpenConnection<NSQDConnection>): Promise<void> {
  connection.conn?.end();
  await Promise.race([closed, pause(GOODBYE_MS, undefined, { ref: false })]);
  closeNow(connection);
}

/** Ends a connection, whatever its state. */
export function closeNow(connection: NSQDConnection, reason?: Error): void {
  // Its socket comes a turn after `connect`, and its state machine fails without one.
  if (connection.conn === null) process.nextTick(() => closeNow(connection, reason));
  else if (reason !== undefined) connection.statemachine.goto('ERROR', reason);
  else connection.statemachine.goto('CLOSED');
}

/** Only who uses NSQ pays for it: 70 ms and 20 MiB. */
async function load() {
  return await import('nsqjs');
}

function configuration({ tls, secret }: NsqSecurity) {
  return {
    ...SIGNS_OF_LIFE,
    tls: tls !== undefined,
    ...(secret === undefined ? {} : { authSecret: secret }),
  };
}

async function establish<C extends NSQDConnection>(
  connection: C,
  address: NsqAddress,
  security: NsqSecurity,
  signal: AbortSignal,
): Promise<OpenConnection<C>> {
  signal.throwIfAborted();
  const closed = closing(connection);
  const ready = new Promise<'ready'>((resolve) => connection.once('ready', () => resolve('ready')));
  surviveNonsense(connection);
  if (security.tls !== undefined) insistOnTls(connection, address.host, security.tls);
  const late = setTimeout(() => closeNow(connection, new Error(SILENT)), HANDSHAKE_MS);
  const onAbort = () => closeNow(connection);
  signal.addEventListener('abort', onAbort);
  try {
    connection.connect();
    if ((await Promise.race([ready, closed])) !== 'ready') throw await closed;
    const missing = whatIsMissing(connection, security);
    if (missing === undefined) return { connection, closed };
    closeNow(connection);
    throw new Error(missing);
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', onAbort);
  }
}

/** Resolves with the reason when the connection is closed. Hears its errors too, which nobody else may. */
async function closing(connection: NSQDConnection): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  let reason: unknown = new Error(CLOSED);
  let told = false;
  const note = (error: unknown) => {
    if (told || HARMLESS.test(String(error))) return;
    told = true;
    reason = error;
  };
  connection.on('error', note);
  connection.on('connection_error', note);
  connection.once('closed', () => {
    // Else this timer of nsqjs goes on for five seconds.
    connection.clearIdentifyTimeout();
    resolve(reason);
  });
  return await promise;
}

function whatIsMissing(connection: NSQDConnection, { tls, secret }: NsqSecurity): string | undefined {
  if (tls !== undefined && !(connection.outWriter instanceof TLSSocket)) return NO_TLS;
  const { auth_required = false } = connection.statemachine.identifyResponse ?? {};
  return auth_required && secret === undefined ? NO_SECRET : undefined;
}

/** nsqjs throws, out of reach for anybody, where what it reads is not NSQ's protocol. */
function surviveNonsense(connection: NSQDConnection): void {
  const receive = connection.receiveData.bind(connection);
  connection.receiveData = (data) => {
    try {
      receive(data);
    } catch (error) {
      closeNow(connection, error instanceof Error ? error : new Error(String(error)));
    }
  };
}

/**
 * nsqjs checks nsqd's certificate for the name "localhost", wherever nsqd is, and goes on without TLS, the secret
 * included, where nsqd offers none. Here the name is the address's, and nothing but the introduction goes in plain.
 */
function insistOnTls(connection: NSQDConnection, host: string, { ca, cert, key }: NsqTls): void {
  const write = connection.write.bind(connection);
  let plain = 0;
  connection.write = (data) => {
    if (!(connection.outWriter instanceof TLSSocket)) plain += 1;
    if (plain <= PLAIN_WRITES) write(data);
    else closeNow(connection, new Error(NO_TLS));
  };
  connection.startTLS = () => {
    const raw = connection.conn;
    if (raw === null) return;
    for (const event of ['data', 'error', 'close', 'timeout']) raw.removeAllListeners(event);
    raw.setTimeout(0).on('error', () => undefined);
    const name = isIP(host) === 0 ? { servername: host } : {};
    const socket = connect({ socket: raw, host, ...name, ca, ...(cert && { cert }), ...(key && { key }) });
    connection.conn = socket;
    connection.outWriter = socket;
    connection.registerStreamListeners(socket);
  };
}
