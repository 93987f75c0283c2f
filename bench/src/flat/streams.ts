import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { ServerProcess } from '../process/start-server.ts';
import { authorizationOf } from './read-server.ts';
import { ID } from './seed-compute.ts';
import { idOf } from './seeding.ts';

/** What part of a core it takes that so many follow an order each of which nothing happens. */
export async function streamsCost(
  server: ServerProcess,
  count: number,
  streams: number,
  ms: number,
): Promise<number> {
  const idle = await cpuOf(server, ms);
  await using sockets = new AsyncDisposableStack();
  const { hostname, port, host } = new URL(server.url);
  for (let n = 0; n < streams; n++) {
    const socket = connect({ host: hostname, port: Number(port) });
    sockets.defer(() => void socket.destroy());
    await once(socket, 'connect');
    socket.write(
      `GET /v1/orders/${idOf(ID.order, count - n)}/events HTTP/1.1\r\nhost: ${host}\r\nauthorization: ${authorizationOf('admin')}\r\n\r\n`,
    );
    const [first] = await once(socket, 'data');
    if (!String(first).startsWith('HTTP/1.1 200 ')) throw new Error(`A stream was answered with ${first}`);
    socket.resume();
  }
  await pause(Math.min(2000, ms));
  return (await cpuOf(server, ms)) - idle;
}

async function cpuOf(server: ServerProcess, ms: number): Promise<number> {
  const before = await server.usage();
  await pause(ms);
  const after = await server.usage();
  return (after.cpuSeconds - before.cpuSeconds) / (ms / 1000);
}
