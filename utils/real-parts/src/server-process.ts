import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { findProgram } from './place.ts';

/** How a server of a test is started. */
export interface ServerOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The system's user to run as; needs root. */
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
  /** Rejects while the server does not answer yet; asked again and again for up to two minutes. */
  readonly ready: () => Promise<unknown>;
}

/** A real server that belongs to a test: it can be killed, frozen, started again, and goes with the test. */
export interface ServerProcess {
  readonly pid: number;
  readonly running: boolean;
  /** Sends a signal; `SIGKILL` and `SIGTERM` resolve once the process is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again on what is there; resolves when it answers. */
  start(): Promise<void>;
  /** The end of what it printed. */
  output(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

const PATIENCE_MS = 120_000;
const KEPT_OUTPUT = 64 * 1024;

/** Starts a server and resolves when it answers. Throws with what it printed when it ends early or stays silent. */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  let child: ChildProcess | undefined;
  let printed = '';

  async function start(): Promise<void> {
    const { command, args, env, uid, gid, cwd } = options;
    // Where the machine can do that, whoever started it takes it along, however it ends.
    const guard = findProgram('setpriv');
    const line = guard === undefined ? [command] : [guard, '--pdeathsig', 'SIGKILL', command];
    const own = spawn(line[0] ?? command, [...line.slice(1), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...(env && { env: { ...process.env, ...env } }),
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
      ...(cwd !== undefined && { cwd }),
    });
    const keep = (chunk: Buffer): void => {
      printed = (printed + chunk.toString()).slice(-KEPT_OUTPUT);
    };
    own.stdout.on('data', keep);
    own.stderr.on('data', keep);
    child = own;
    await once(own, 'spawn');
    await untilReady(
      options,
      () => ended(own),
      () => printed,
    );
  }

  async function kill(signal: NodeJS.Signals): Promise<void> {
    if (child?.pid === undefined || ended(child)) return;
    const gone = once(child, 'exit');
    // The whole group: PostgreSQL is many processes, and an orphan of them keeps the next start out.
    process.kill(signal === 'SIGTERM' ? child.pid : -child.pid, signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await gone;
  }

  await start();
  return {
    get pid() {
      return child?.pid ?? -1;
    },
    get running() {
      return child !== undefined && !ended(child);
    },
    kill,
    start,
    output: () => printed,
    [Symbol.asyncDispose]: () => kill('SIGKILL'),
  };
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function untilReady(
  options: ServerOptions,
  isGone: () => boolean,
  output: () => string,
): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      await options.ready();
      return;
    } catch (cause) {
      if (isGone()) throw new Error(`${options.command} ended at its start:\n${output()}`, { cause });
      if (Date.now() > deadline) {
        throw new Error(`${options.command} did not answer in ${PATIENCE_MS / 1000} s:\n${output()}`, {
          cause,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}
