import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Told, Usage } from './serve.ts';

/** The programs that can be started, each a server in a process of its own. */
export type ServerProgram = 'bare' | 'compute' | 'storage' | 'reads' | 'platform';

/** A server that runs in a process of its own; disposing waits until it has ended in good order. */
export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  /** What the process has used so far. */
  usage(): Promise<Usage>;
}

/** Starts a program of the folder `servers`. Rejects where it ends before it tells its address. */
export async function startServer(program: ServerProgram, args: readonly string[]): Promise<ServerProcess> {
  const file = fileURLToPath(new URL(`../servers/${program}.main.ts`, import.meta.url));
  // What it prints goes to stderr: stdout is for the tables alone.
  const child = fork(file, args, { stdio: ['ignore', 2, 2, 'ipc'] });
  const ended = once(child, 'exit');
  const first = await answer(child, ended);
  if (!('url' in first)) throw new Error(`The server ${program} did not tell its address first`);
  return {
    url: first.url,
    async usage() {
      child.send('usage');
      const told = await answer(child, ended);
      if (!('usage' in told)) throw new Error(`The server ${program} did not tell what it uses`);
      return told.usage;
    },
    async [Symbol.asyncDispose]() {
      if (child.connected) child.disconnect();
      const [code] = await ended;
      if (code !== 0) throw new Error(`The server ${program} ended with ${code}`);
    },
  };
}

async function answer(child: ChildProcess, ended: Promise<unknown[]>): Promise<Told> {
  const outcome = await Promise.race([once(child, 'message'), ended.then(() => undefined)]);
  if (outcome === undefined) throw new Error('A server ended by itself; what it said is above.');
  // The other side sends nothing but this.
  return outcome[0] as Told;
}
