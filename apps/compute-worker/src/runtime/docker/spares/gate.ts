import { once } from 'node:events';
import { chmod, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { abortable } from '@morpheo/common';
import type { MountSettings } from 'dockerode';
import programs from './gate.json' with { type: 'json' };

/**
 * The gate before the program of a container that was started ahead: a static program of ours (`utils/gate`), which waits
 * for one byte from the worker and then becomes the program. It reaches the worker by a socket in the folder that it lies in
 * itself, which is mounted to be read only; the socket is gone before the program runs.
 */

/** Where the gate stands in a container. */
export const GATE_FOLDER = '/.morpheo';
/** What a container has for an entry point, before the words of its program. */
export const GATE_PROGRAM = `${GATE_FOLDER}/gate`;

const WORD = 'g';

/** The program of the gate for a machine, as `uname -m` has it; undefined where there is none. */
export function gateFor(machine: string): Buffer | undefined {
  const found = Object.entries(programs).find(([name]) => name === machine)?.[1];
  return found === undefined ? undefined : Buffer.from(found, 'base64');
}

/** The worker's side of a gate, which waits for the word. */
export interface Gate {
  /** Says the word. False where the gate has gone before it heard that: then the program was not started, and never is. */
  open(signal: AbortSignal): Promise<boolean>;
  /** Resolves when there is nobody any more who waits for the word. */
  readonly gone: Promise<void>;
  [Symbol.dispose](): void;
}

/** The place of a gate that is not there yet. */
export interface GatePlace {
  readonly mount: MountSettings;
  /** Waits until the gate has come. The place takes in no second one. */
  arrival(signal: AbortSignal): Promise<Gate>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Makes `folder`, puts the program of the gate there, and listens for it. */
export async function gatePlace(program: Buffer, folder: string): Promise<GatePlace> {
  await using stack = new AsyncDisposableStack();
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'gate'), program);
  // Whatever the umask is: the container is to use them, and cannot change them, its mount being one to read.
  await chmod(join(folder, 'gate'), 0o555);
  await chmod(folder, 0o755);
  const handle = stack.use(await open(folder));
  const came = Promise.withResolvers<Socket>();
  const server = stack.adopt(createServer(), (listening) => {
    listening.close();
  });
  server.once('connection', (socket) => {
    socket.on('error', () => undefined);
    server.close();
    came.resolve(socket);
  });
  // The address of a socket has room for 107 bytes, and the path of a folder may be longer.
  server.listen({ path: `/proc/self/fd/${handle.fd}/go`, writableAll: true });
  await once(server, 'listening');
  const opened = stack.move();
  return {
    mount: { Type: 'bind', Source: folder, Target: GATE_FOLDER, ReadOnly: true },
    arrival: async (signal) => {
      const gate = gateAt(await abortable(came.promise, signal));
      await rm(join(folder, 'go'), { force: true });
      return gate;
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

function gateAt(socket: Socket): Gate {
  const answered = new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('close', () => resolve(false));
  });
  return {
    gone: answered.then(() => undefined),
    open: async (signal) => {
      socket.write(WORD);
      return await abortable(answered, signal);
    },
    [Symbol.dispose]: () => {
      socket.destroy();
    },
  };
}
