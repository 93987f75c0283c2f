import { once } from 'node:events';
import { chmod, open } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { ProtocolFault } from '../errors.ts';
import type { Door, DoorOptions, RunnerDesk } from '../protocol.ts';
import { converse } from './conversation.ts';
import { placeRelay, RELAY_SOCKET, relayWords } from './relay.ts';

/** Where the relay and the worker's socket stand in a container. */
const FOLDER = '/run/morpheo';
/** A program that closed its connection in the middle of a call ends soon, or never answers; in milliseconds. */
const SILENT_MS = 2000;

/** What a door is opened with. */
export interface ZeromqDoorOptions extends Pick<DoorOptions, 'folder' | 'desk'> {
  /** What `uname -m` says where the program runs. */
  readonly machine: string;
  /** How long a program may be without a connection while it has a call, in milliseconds. */
  readonly silentMs?: number;
}

/**
 * Opens the door to a program that has Shepherd's runner in it, unchanged: it listens at port 9999 of its container, where
 * a relay joins it with the worker.
 */
export async function openZeromqDoor({
  folder,
  desk,
  machine,
  silentMs = SILENT_MS,
}: ZeromqDoorOptions): Promise<Door> {
  await using stack = new AsyncDisposableStack();
  await placeRelay(folder, machine);
  await chmod(folder, 0o755);
  const handle = stack.use(await open(folder));
  const visitor = stack.use(new Visitor(desk, silentMs));
  const server = stack.adopt(createServer(), (listening) => {
    listening.close();
  });
  server.on('connection', (socket) => visitor.receive(socket));
  // The address of a socket has room for 107 bytes, and the path of a folder may be longer.
  server.listen({ path: `/proc/self/fd/${handle.fd}/${RELAY_SOCKET}`, writableAll: true });
  await once(server, 'listening');
  const opened = stack.move();
  return {
    environment: {},
    mounts: [{ host: folder, container: FOLDER, readOnly: true }],
    before: relayWords(FOLDER),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** The relay of a runner: a second one at a time is none of ours. */
class Visitor implements Disposable {
  readonly #desk: RunnerDesk;
  readonly #silentMs: number;
  #socket: Socket | undefined;
  #silence: NodeJS.Timeout | undefined;

  constructor(desk: RunnerDesk, silentMs: number) {
    this.#desk = desk;
    this.#silentMs = silentMs;
  }

  receive(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.#socket !== undefined || this.#silence !== undefined) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    void converse(socket, this.#desk).then((isUnanswered) => {
      this.#socket = undefined;
      if (!isUnanswered) return;
      const fault = new ProtocolFault('The runner closed its connection in the middle of a call.');
      this.#silence = setTimeout(() => this.#desk.fault(fault), this.#silentMs);
    });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#silence);
    this.#socket?.destroy();
  }
}
