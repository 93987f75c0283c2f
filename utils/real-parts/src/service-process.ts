import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Flags of a program: one of an empty text is given without a value. */
export type Flags = Readonly<Record<string, string | number>>;

/** How a test starts a program as a process of its own. */
export interface ServiceOptions {
  /** The file that Node runs: see {@link mainOf}. */
  readonly main: string;
  /** Node's own arguments. */
  readonly node?: readonly string[];
  /** Arguments before the flags. */
  readonly args?: readonly string[];
  readonly flags?: Flags;
  /** All of its environment; that of the test where absent. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Its address that answers 2xx once it is ready: `start` waits for that. */
  readonly ready?: string;
  /** Where its output goes: it is kept for {@link ServiceProcess.printed}, shown on stderr, or added to this file. */
  readonly output?: 'keep' | 'show' | { readonly file: string };
  /** Starts it again so many milliseconds after it ended by itself, as a supervisor does. */
  readonly restartAfterMs?: number;
}

const { NODE_COMPILE_CACHE, MORPHEO_TEST_PACKAGES } = process.env;
/** Arguments of Node: a program gets the packages that the tests' settings have joined from there (`packages/`). */
export const LOAD_JOINED: readonly string[] =
  MORPHEO_TEST_PACKAGES === undefined ? [] : ['--import', new URL('packages/load.js', import.meta.url).href];

const LOOK_EVERY_MS = 10;
const KEPT_FOR_ERRORS = 4096;

/** One of our programs as a process of a test: it can be killed, frozen and started again; disposing kills it. */
export class ServiceProcess implements AsyncDisposable {
  readonly #options: ServiceOptions;
  #child: ChildProcess | undefined;
  #closed: Promise<unknown> = Promise.resolve();
  #printed = '';
  #deaths = 0;
  #wanted: 'up' | 'down' = 'down';

  /** Starts nothing yet. */
  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** The id of the process; undefined before the first start. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Both streams of all its processes, in the order in which they came; empty unless the output is kept. */
  get printed(): string {
    return this.#printed;
  }

  /** How many of its processes have ended. */
  get deaths(): number {
    return this.#deaths;
  }

  /**
   * Starts a process, with further flags where some are given, and resolves with the milliseconds until it was ready,
   * or was killed. Rejects with what it printed where it ends by itself before.
   */
  async start(further: Flags = {}): Promise<number> {
    const from = performance.now();
    this.#wanted = 'up';
    const child = this.#spawn(further);
    const { ready, main } = this.#options;
    while (ready !== undefined && child.signalCode === null && !(await answers(ready))) {
      if (child.exitCode !== null) {
        await this.#closed;
        throw new Error(
          `${main} ended with exit code ${child.exitCode}:\n${this.#printed.slice(-KEPT_FOR_ERRORS)}`,
        );
      }
      await sleep(LOOK_EVERY_MS);
    }
    return performance.now() - from;
  }

  /** Ends it for good, until it is started again; resolves with its exit code, null where a signal ended it. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<number | null> {
    this.#wanted = 'down';
    return await this.#end(signal);
  }

  /** SIGKILL, as an accident: with `restartAfterMs` it is started again. Resolves when that process is gone. */
  async crash(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Sends a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** SIGSTOP. */
  freeze(): void {
    this.signal('SIGSTOP');
  }

  /** SIGCONT. */
  thaw(): void {
    this.signal('SIGCONT');
  }

  /** Resolves with all that it printed, once it has ended. */
  async ended(): Promise<string> {
    await this.#closed;
    return this.#printed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #spawn(further: Flags): ChildProcess {
    const { main, node = [], args = [], flags = {}, env = process.env, cwd, output = 'keep' } = this.#options;
    const all = [...LOAD_JOINED, ...node, main, ...args, ...flagsOf({ ...flags, ...further })];
    const child = spawn(process.execPath, all, {
      ...(cwd !== undefined && { cwd }),
      env: { NODE_COMPILE_CACHE, MORPHEO_TEST_PACKAGES, ...env },
      stdio: output === 'show' ? ['ignore', 2, 2] : ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#closed = once(child, 'close');
    this.#keepOutput(child, output);
    child.once('exit', () => this.#onExit(child));
    return child;
  }

  #keepOutput(child: ChildProcess, output: ServiceOptions['output']): void {
    const file = typeof output === 'object' ? createWriteStream(output.file, { flags: 'a' }) : undefined;
    for (const stream of [child.stdout, child.stderr]) {
      if (file !== undefined) stream?.pipe(file, { end: false });
      else
        stream?.setEncoding('utf8').on('data', (text: string) => {
          this.#printed += text;
        });
    }
    child.once('close', () => file?.end());
  }

  #onExit(child: ChildProcess): void {
    this.#deaths += 1;
    const { restartAfterMs } = this.#options;
    if (restartAfterMs === undefined || this.#wanted === 'down') return;
    setTimeout(() => {
      if (this.#wanted === 'up' && this.#child === child) this.#spawn({});
    }, restartAfterMs).unref();
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    const gone = once(child, 'exit');
    child.kill(signal);
    const [code] = (await gone) as [number | null];
    return code;
  }
}

/** The main file of one of the repository's apps, or of `shepherd`. */
export function mainOf(
  app: 'compute-api' | 'compute-worker' | 'storage-api' | 'dicebox' | 'standalone' | 'cli' | 'shepherd',
): string {
  const folder = app === 'shepherd' ? 'standalone/src/shepherd' : `${app}/src`;
  return fileURLToPath(new URL(join('../../../apps', folder, 'main.ts'), import.meta.url));
}

function flagsOf(flags: Flags): string[] {
  return Object.entries(flags).map(([flag, value]) => (value === '' ? `--${flag}` : `--${flag}=${value}`));
}

async function answers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
