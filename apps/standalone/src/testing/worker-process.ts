import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../../compute-worker/src/main.ts', import.meta.url));

/** A worker as a process that is killed, frozen and started again on the same folder. */
export class WorkerProcess implements AsyncDisposable {
  readonly #args: readonly string[];
  /** The worker's own folder. */
  readonly folder: string;
  #child: ChildProcess | undefined;
  #printed = '';

  constructor(flags: Readonly<Record<string, string>> & { readonly 'data-dir': string }) {
    this.folder = flags['data-dir'];
    this.#args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  }

  /** All that its processes printed. */
  get printed(): string {
    return this.#printed;
  }

  /** Starts a process of it. */
  start(): void {
    const child = spawn(process.execPath, [MAIN, ...this.#args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const add = (chunk: Buffer) => {
      this.#printed += chunk.toString();
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    this.#child = child;
  }

  /** Sends a signal. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
