import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CliError, EXIT } from '../exit-codes.ts';
import type { OutputStream } from '../terminal/terminal.ts';
import { type Connection, readConnection } from './connection-file.ts';
import { connectionFile, type Environment } from './settings.ts';

/** What {@link startStandalone} is given. */
export interface StartStandalone {
  /** The platform's program. */
  readonly entry: string;
  readonly args: readonly string[];
  /** Its data folder, in which it says where it listens. */
  readonly folder: string;
  readonly env: Environment;
  /** Whatever it prints goes here. */
  readonly stderr: OutputStream & { readonly fd?: number };
  /** Tells it to stop. */
  readonly signal: AbortSignal;
}

/** A platform that runs as a process of its own. Disposing stops it, and waits for its end. */
export interface StandaloneProcess {
  /** Where it listens, once it does; null where it ended before. */
  readonly listening: Promise<Connection | null>;
  /** Its exit code; null where a signal killed it. */
  readonly ended: Promise<number | null>;
  [Symbol.asyncDispose](): Promise<void>;
}

const LOOK_EVERY_MS = 100;
/** MiB. By itself Node sets 48 MiB aside for what is short-lived, a third of what the platform takes at rest. */
const FEW_BYTES = ['--max-semi-space-size=4'];

/** The program of the platform, which is another package that this one does not import. Throws a `CliError`. */
export function standaloneEntry(): string {
  try {
    return fileURLToPath(import.meta.resolve('@morpheo/standalone/main'));
  } catch (cause) {
    throw new CliError(
      EXIT.failed,
      'The platform itself (@morpheo/standalone) is not installed here.',
      'Install it beside this program, or use a platform elsewhere (MORPHEO_COMPUTE_URL and the others).',
      cause,
    );
  }
}

/**
 * Starts the platform. It gets a process group of its own, so that Ctrl-C reaches it once and through here; a second
 * Ctrl-C, which ends this process, is handed on as well, and so is a SIGKILL.
 */
export async function startStandalone(options: StartStandalone): Promise<StandaloneProcess> {
  const { entry, args, folder, env, stderr, signal } = options;
  const file = connectionFile(folder);
  const before = await versionOf(file);
  const sink = typeof stderr.fd === 'number' ? stderr.fd : 'pipe';
  // The channel closes when this process ends, however it does; the platform then stops.
  const stdio: StdioOptions = ['ignore', sink, sink, 'ipc'];
  const child = spawn(process.execPath, [...FEW_BYTES, entry, ...args], {
    env: { ...env },
    stdio,
    detached: true,
  });
  child.stdout?.pipe(stderr, { end: false });
  child.stderr?.pipe(stderr, { end: false });
  const ended = endOf(child);
  const stop = () => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  process.on('exit', stop);
  if (signal.aborted) stop();
  void ended.finally(() => {
    signal.removeEventListener('abort', stop);
    process.off('exit', stop);
  });
  return {
    listening: firstConnection(file, before, ended),
    ended,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) stop();
      await ended;
    },
  };
}

async function endOf(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'close')) as [number | null];
  return code;
}

/** The platform writes the file anew when everything listens; one that a killed platform left does not count. */
async function firstConnection(
  file: string,
  before: string | null,
  ended: Promise<number | null>,
): Promise<Connection | null> {
  let over = false;
  const end = ended.then(() => {
    over = true;
  });
  while (!over) {
    const version = await versionOf(file);
    if (version !== null && version !== before) return await readConnection(file);
    await Promise.race([pause(LOOK_EVERY_MS), end]);
  }
  return null;
}

async function versionOf(file: string): Promise<string | null> {
  return await stat(file).then(
    ({ ino, mtimeMs }) => `${ino}:${mtimeMs}`,
    () => null,
  );
}
