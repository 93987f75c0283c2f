import { once } from 'node:events';
import { chmod, open } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Door, DoorOptions } from '../protocol.ts';
import { demandFree } from './dial.ts';
import { placeRelay, RELAY_SOCKET, RUNNER_PORT, relayWords } from './relay.ts';
import { Visits } from './visits.ts';

/** Where the relay and the worker's socket stand in a container. */
const FOLDER = '/run/morpheo';
/** What a door is opened with. */
export interface ZeromqDoorOptions extends DoorOptions {
  /** Where the program listens; 9999 where absent, as programs of Shepherd do. */
  readonly port?: number | undefined;
  /** See {@link Visits}. */
  readonly silentMs?: number | undefined;
}

/**
 * Opens the door to a program that has Shepherd's runner in it, unchanged: it listens at port 9999 of its container, where
 * a relay joins it with the worker. Throws `unavailable` where there can be none.
 */
export async function openZeromqDoor({
  folder,
  desk,
  hasHostPaths,
  machine,
  port = RUNNER_PORT,
  silentMs,
}: ZeromqDoorOptions): Promise<Door> {
  await using stack = new AsyncDisposableStack();
  // Without a network of its own it would be joined to whatever listens there by now.
  if (hasHostPaths) await demandFree(port);
  await placeRelay(folder, await machine());
  await chmod(folder, 0o755);
  const handle = stack.use(await open(folder));
  const visits = stack.use(new Visits(desk, silentMs));
  const server = stack.adopt(createServer(), (listening) => {
    listening.close();
  });
  server.on('connection', (socket) => void visits.receive(socket));
  // The address of a socket has room for 107 bytes, and the path of a folder may be longer.
  server.listen({ path: `/proc/self/fd/${handle.fd}/${RELAY_SOCKET}`, writableAll: true });
  await once(server, 'listening');
  const opened = stack.move();
  return {
    environment: {},
    mounts: [{ host: folder, container: FOLDER, readOnly: true }],
    before: relayWords(FOLDER, port),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
