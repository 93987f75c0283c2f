import { connect, type Socket } from 'node:net';
import { PlatformError, sleep } from '@morpheo/common';
import type { Door, DoorOptions } from '../protocol.ts';
import { Visits } from './visits.ts';

/** How long to wait before another try to reach a program that does not listen yet, in milliseconds. */
const AGAIN_MS = 20;

/**
 * Opens the door to a program that listens at a port of this machine, as a bare sheep does. Throws `unavailable` where
 * another one listens there.
 */
export async function openPortDoor({ desk }: Pick<DoorOptions, 'desk'>, port: number): Promise<Door> {
  await demandFree(port);
  const visits = new Visits(desk);
  const closed = new AbortController();
  const dialing = dial(visits, port, closed.signal);
  return {
    environment: {},
    mounts: [],
    [Symbol.asyncDispose]: async () => {
      closed.abort();
      visits[Symbol.dispose]();
      await dialing;
    },
  };
}

async function dial(visits: Visits, port: number, closed: AbortSignal): Promise<void> {
  while (!closed.aborted) {
    const socket = await connected(port);
    if (socket !== undefined) await visits.receive(socket);
    await sleep(AGAIN_MS, closed).catch(() => undefined);
  }
}

/** A connection to a port of this machine; undefined where nobody listens. */
async function connected(port: number): Promise<Socket | undefined> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  return await new Promise((resolve) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

/** Throws `unavailable` where somebody listens at a port of this machine. */
export async function demandFree(port: number): Promise<void> {
  const other = await connected(port);
  if (other === undefined) return;
  other.on('error', () => undefined).destroy();
  const message = `Port ${port} of this machine, at which a runner of Shepherd is to listen, is taken by another program.`;
  throw new PlatformError('unavailable', message);
}
