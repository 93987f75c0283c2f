import { setTimeout as pause } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import type { NSQDConnection, WriterNSQDConnection } from 'nsqjs';
import type { Secret } from '../../config/index.ts';
import type { NsqAddress } from './address.ts';
import { CLOSED, NO_SECRET, NO_TLS, SILENT } from './errors.ts';
import { closeNow, insistOnTls, type NsqTls, stopTimerWhenClosed, surviveNonsense } from './nsqjs-patches.ts';

/** How connections are secured. */
export interface NsqSecurity {
  readonly tls?: NsqTls | undefined;
  /** What nsqd's authentication server is given, as it is when a connection is made. */
  readonly secret?: string | Secret | undefined;
}

/** How connections are made. */
export interface ConnectionOptions extends NsqSecurity {
  readonly times: NsqTimes;
}

/** How long an nsqd that does not answer is waited for, in milliseconds. */
export interface NsqTimes {
  /** To publish, all nsqds together. */
  readonly publishMs: number;
  /** To publish at one nsqd: one that is only slow is not given up sooner, or the message would be published twice. */
  readonly leastShareMs: number;
  /** To subscribe. */
  readonly subscribeMs: number;
  /** To answer a connection. */
  readonly handshakeMs: number;
}

/** The times of services; `/ready` waits for longer than a connection does. */
export const NSQ_TIMES: NsqTimes = {
  publishMs: 2000,
  leastShareMs: 1000,
  subscribeMs: 5000,
  handshakeMs: 1500,
};

/** A connection that is ready. */
export interface OpenConnection<C> {
  readonly connection: C;
  /** Resolves, with the reason, when it is closed. */
  readonly closed: Promise<unknown>;
}

/** nsqd sends a sign of life every two seconds; five without one, and it is taken for dead. */
const SIGNS_OF_LIFE = { heartbeatInterval: 2, idleTimeout: 5 } as const;
/** How long nsqd holds messages back to send several at once, in milliseconds; its own 250 would be waited for. */
const OUTPUT_BUFFER_MS = 25;
/** How long nsqd has to end a connection that we end. */
const GOODBYE_MS = 500;
/** Errors that nsqd does not close the connection for: the message in question is another's by now. */
const HARMLESS = /E_(FIN|REQ|TOUCH)_FAILED/;

/** Connects for publishing. Rejects with the plain reason; see {@link explain}. */
export async function openWriter(
  address: NsqAddress,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<OpenConnection<WriterNSQDConnection>> {
  const nsqjs = await load();
  const connection = new nsqjs.WriterNSQDConnection(address.host, address.port, configuration(options));
  return await establish(connection, address, options, signal);
}

/** Connects to hear a channel; nsqd makes topic and channel where they are not there, and sends nothing yet. */
export async function openReader(
  address: NsqAddress,
  options: ConnectionOptions,
  heard: { readonly topic: string; readonly channel: string },
  signal: AbortSignal,
): Promise<OpenConnection<NSQDConnection>> {
  const configured = { ...configuration(options), outputBufferTimeout: OUTPUT_BUFFER_MS };
  const nsqjs = await load();
  const connection = new nsqjs.NSQDConnection(
    address.host,
    address.port,
    heard.topic,
    heard.channel,
    configured,
  );
  return await establish(connection, address, options, signal);
}

/** Ends a connection once nsqd has got all that was sent, or after half a second. */
export async function closeGently({ connection, closed }: OpenConnection<NSQDConnection>): Promise<void> {
  connection.conn?.end();
  await Promise.race([closed, pause(GOODBYE_MS, undefined, { ref: false })]);
  closeNow(connection);
}

/** Only who uses NSQ pays for it: 70 ms and 20 MiB. */
async function load() {
  return await import('nsqjs');
}

function configuration({ tls, secret }: ConnectionOptions) {
  return {
    ...SIGNS_OF_LIFE,
    tls: tls !== undefined,
    ...(secret === undefined ? {} : { authSecret: typeof secret === 'string' ? secret : secret.reveal() }),
  };
}

async function establish<C extends NSQDConnection>(
  connection: C,
  address: NsqAddress,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<OpenConnection<C>> {
  signal.throwIfAborted();
  const closed = closing(connection);
  const ready = new Promise<'ready'>((resolve) => connection.once('ready', () => resolve('ready')));
  surviveNonsense(connection);
  stopTimerWhenClosed(connection);
  if (options.tls !== undefined) insistOnTls(connection, address.host, options.tls);
  const late = setTimeout(() => closeNow(connection, new Error(SILENT)), options.times.handshakeMs);
  const onAbort = () => closeNow(connection);
  signal.addEventListener('abort', onAbort);
  try {
    connection.connect();
    if ((await Promise.race([ready, closed])) !== 'ready') throw await closed;
    const missing = whatIsMissing(connection, options);
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
  connection.once('closed', () => resolve(reason));
  return await promise;
}

function whatIsMissing(connection: NSQDConnection, { tls, secret }: ConnectionOptions): string | undefined {
  if (tls !== undefined && !(connection.outWriter instanceof TLSSocket)) return NO_TLS;
  const { auth_required = false } = connection.statemachine.identifyResponse ?? {};
  return auth_required && secret === undefined ? NO_SECRET : undefined;
}
