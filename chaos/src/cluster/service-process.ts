import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** One of our services as a process of its own, which can be killed, frozen and started again. */
export class ServiceProcess implements AsyncDisposable {
  readonly name: string;
  /** Where it listens; absent for one that takes any port. */
  readonly port: number | undefined;
  /** What it prints. */
  readonly logFile: string;
  readonly #main: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #state: 'off' | 'on' = 'off';

  /** `settings` are the flags; what it prints is added to `logFile`. */
  constructor(
    name: string,
    app: 'compute-api' | 'compute-worker' | 'storage-api',
    settings: Readonly<Record<string, string>>,
    logFile: string,
  ) {
    this.name = name;
    this.port = 'port' in settings ? Number(settings.port) : undefined;
    this.#main = fileURLToPath(new URL(`../../../apps/${app}/src/main.ts`, import.meta.url));
    this.#args = Object.entries(settings).map(([flag, value]) => `--${flag}=${value}`);
    this.logFile = logFile;
  }

  /** Starts it; one that ends by itself is started again, as whoever looks after services does. */
  start(): void {
    this.#state = 'on';
    const child = spawn(process.execPath, [this.#main, ...this.#args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(this.logFile, { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once('close', () => log.end());
    child.once('exit', () => {
      if (this.#state === 'on' && this.#child === child) setTimeout(() => this.#again(child), 500).unref();
    });
    this.#child = child;
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#state = 'off';
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** SIGSTOP. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  /** SIGCONT. */
  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #again(ended: ChildProcess): void {
    if (this.#state === 'on' && this.#child === ended) this.start();
  }
}
