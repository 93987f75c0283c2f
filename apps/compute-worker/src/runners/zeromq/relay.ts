import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import programs from './relay.json' with { type: 'json' };

/**
 * The relay before the program of a runner that listens at a port: a static program of ours (`utils/gate`), which becomes
 * the runner's own, and leaves a process beside it that joins the port with a socket of the worker. A container without a
 * network still has its loopback.
 */

/** The port at which Shepherd's runners listen in their containers. */
export const RUNNER_PORT = 9999;
/** The socket of the worker, in the folder that the relay is told. */
export const RELAY_SOCKET = 'runner.sock';

const PROGRAM = 'relay';

/** Puts the relay for a machine, as `uname -m` has it, into a folder. Throws `unavailable` where there is none for it. */
export async function placeRelay(folder: string, machine: string): Promise<void> {
  const found = Object.entries(programs).find(([name]) => name === machine)?.[1];
  if (found === undefined)
    throw new PlatformError(
      'unavailable',
      `Runners of Shepherd need a machine of ${Object.keys(programs).join(' or ')}, and this one is ${machine}.`,
    );
  const path = join(folder, PROGRAM);
  await writeFile(path, Buffer.from(found, 'base64'));
  // Whatever the umask is: the container is to use it, and cannot change it, its mount being one to read.
  await chmod(path, 0o555);
}

/** The words before those of a program that listens at a port, where the folder of the relay stands at this path. */
export function relayWords(folder: string, port: number): readonly string[] {
  return [`${folder}/${PROGRAM}`, folder, String(port)];
}
