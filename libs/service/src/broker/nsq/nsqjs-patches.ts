import { isIP } from 'node:net';
import { connect, TLSSocket } from 'node:tls';
import type { NSQDConnection } from 'nsqjs';
import { NO_TLS } from './errors.ts';

/*
 * The faults of nsqjs 0.13.0 that can only be repaired inside it: all of them are here, each with the test that fails
 * without its repair. They reach into members of a connection that nsqjs does not promise to keep (nsqjs.d.ts names
 * them), so its version is pinned exactly. Everything else uses a connection as nsqjs offers it.
 */

/** PEM texts for TLS. The name of nsqd's certificate is that of its address. */
export interface NsqTls {
  readonly ca: string;
  /** Ours, where nsqd wants certificates of its clients. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** What the protocol sends before TLS begins: its version, and the introduction. */
const PLAIN_WRITES = 2;

/**
 * Ends a connection, whatever its state. Fault: nsqjs has no way to do so; its state machine fails where the socket,
 * which comes a turn after `connect`, is not there yet. Without the wait for the socket fails: ending.test.ts, "A
 * connection that is given up in any of its first turns is closed".
 */
export function closeNow(connection: NSQDConnection, reason?: Error): void {
  // Its socket comes a turn after `connect`, and its state machine fails without one.
  if (connection.conn === null) process.nextTick(() => closeNow(connection, reason));
  else if (reason !== undefined) connection.statemachine.goto('ERROR', reason);
  else connection.statemachine.goto('CLOSED');
}

/**
 * Fault: a timer that waits for nsqd's introduction goes on for five seconds after its connection is closed, and keeps
 * the process. Without it fails: ending.test.ts, "It ends by itself where nsqd is away or frozen, too".
 */
export function stopTimerWhenClosed(connection: NSQDConnection): void {
  connection.once('closed', () => connection.clearIdentifyTimeout());
}

/**
 * Fault: nsqjs throws, where nobody can catch it, when what it reads is not NSQ's protocol (`receiveData` runs in the
 * socket's event). Here such a connection is closed with the reason. Without it fails: nonsense.test.ts, "No bytes of a
 * server break the process".
 */
export function surviveNonsense(connection: NSQDConnection): void {
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
 * Faults: nsqjs checks nsqd's certificate for the name "localhost", wherever nsqd is, and goes on without TLS, the
 * secret included, where nsqd offers none. Here the name is the address's, and nothing but the introduction goes in
 * plain. Without it fail: security.test.ts, "The name in the certificate is that of the address" and "An nsqd without
 * TLS gets neither message nor secret".
 */
export function insistOnTls(connection: NSQDConnection, host: string, { ca, cert, key }: NsqTls): void {
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
