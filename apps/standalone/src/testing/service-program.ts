import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The programs of the platform that are started as processes. */
export type Program = 'storage-api' | 'compute-api' | 'compute-worker';

/** What a program is started with. */
export interface ServiceProgramOptions {
  readonly flags?: Readonly<Record<string, string>>;
  /** All of its environment but `PATH`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of node, before the program. */
  readonly node?: readonly string[];
  readonly cwd?: string;
}

/** One of our programs as a process of its own, and all that it prints. */
export class ServiceProgram implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #printed = '';

  constructor(program: Program, { flags = {}, env = {}, node = [], cwd }: ServiceProgramOptions) {
    const main = fileURLToPath(new URL(`../../../${program}/src/main.ts`, import.meta.url));
    const args = Object.entries(flags).map(([flag, value]) =>
      value === '' ? `--${flag}` : `--${flag}=${value}`,
    );
    const child = spawn(process.execPath, [...node, main, ...args], {
      cwd,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const add = (chunk: Buffer) => {
      this.#printed += chunk.toString('latin1');
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    this.#closed = once(child, 'close');
    this.#child = child;
  }

  /** Both streams, in the order in which they came. */
  get printed(): string {
    return this.#printed;
  }

  /** Sends a signal where it runs, and resolves when it has ended and all that it printed is there. */
  async end(signal: NodeJS.Signals): Promise<string> {
    this.#child.kill(signal);
    return await this.ended();
  }

  /** Resolves when it has ended, with all that it printed. */
  async ended(): Promise<string> {
    await this.#closed;
    return this.#printed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
  }
}
