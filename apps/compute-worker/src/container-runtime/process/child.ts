import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';

/** What to start. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly folder: string;
  /** All of its environment. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How a program ended, or why it could not be started. */
export type Ending = { readonly exitCode: number } | { readonly startError: Error };

/** A started program: the leader of a session and process group of its own, its stdin empty. */
export interface Child {
  readonly pid: number | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Never rejects. */
  readonly ended: Promise<Ending>;
}

/** Starts a program. */
export function startChild({ program, args, folder, environment }: Command): Child {
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
  const child = spawn(program, args, { cwd: folder, env: environment, detached: true, stdio });
  const { promise: ended, resolve } = Promise.withResolvers<Ending>();
  child.once('error', (startError) => resolve({ startError }));
  child.once('exit', (code, signal) => {
    resolve({ exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]) });
  });
  return { pid: child.pid, stdout: child.stdout, stderr: child.stderr, ended };
}
