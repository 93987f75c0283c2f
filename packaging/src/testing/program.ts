import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { PROGRAMS, ROOT, targetOf } from '../executables/programs.ts';

/** What the executables get: a path for the programs that the worker runs, and nothing that leads to this checkout. */
const ENV = { PATH: process.env.PATH ?? '' };

/** A service's executable that runs; disposing tells it to stop, and waits. */
export interface RunningProgram extends AsyncDisposable {
  /** Where it listens. */
  readonly url: string;
  /** Tells it to stop; resolves with its exit code. */
  stop(): Promise<number | null>;
}

/** The path of an executable that `make all-bin` has made. */
export function executable(name: string): string {
  const program = PROGRAMS[name];
  if (program === undefined) throw new Error(`there is no program ${name}`);
  return join(ROOT, targetOf(program));
}

/** Runs an executable to its end in an empty environment, and returns what it said. Throws where it fails. */
export async function runToEnd(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ stdout: string; stderr: string }> {
  return await promisify(execFile)(executable(name), args, { cwd: '/', env: { ...ENV, ...env } });
}

/** Starts a service's executable in an empty environment; resolves when its log says that it is ready. */
export async function startProgram(name: string, args: readonly string[]): Promise<RunningProgram> {
  const child = spawn(executable(name), args, { cwd: '/', env: ENV, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit') as Promise<[number | null]>;
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  const closed = once(child, 'close');
  const url = await readyUrl(child);
  if (url === undefined) {
    await closed;
    throw new Error(`${name} ended with ${(await exited)[0]} before it was ready: ${errors}`);
  }
  async function stop(): Promise<number | null> {
    child.kill('SIGTERM');
    return (await exited)[0];
  }
  return { url, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}

/** Where it listens; undefined where it ended before that. */
async function readyUrl({ stdout }: ChildProcess): Promise<string | undefined> {
  if (stdout === null) throw new Error('there is no output to read');
  for await (const line of createInterface({ input: stdout })) {
    const { message, url } = JSON.parse(line) as { message: string; url?: string };
    if (message !== 'ready') continue;
    // What it says from here on is for nobody, but has to go somewhere.
    stdout.resume();
    return url ?? '';
  }
  return undefined;
}
