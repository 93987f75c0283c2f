import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../../storage-api/src/main.ts', import.meta.url));

/** storage-api as a process of its own that is killed and started again at the same place. */
export class StorageProcess implements AsyncDisposable {
  readonly url: string;
  readonly #port: number;
  #child: ChildProcess | undefined;

  /** `port` is one that is free, where it listens whenever it runs. */
  constructor(port: number) {
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts it with these flags, and resolves once it is ready, or was killed before. */
  async start(flags: Readonly<Record<string, string | number>>): Promise<void> {
    const all = { ...flags, port: this.#port, 'log-level': 'error' };
    const args = Object.entries(all).map(([flag, value]) => `--${flag}=${value}`);
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#child = child;
    for (;;) {
      const answer = await fetch(`${this.url}/ready`).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok === true) return;
      if (child.signalCode !== null) return;
      if (child.exitCode !== null) throw new Error(`storage-api ended with exit code ${child.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
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
