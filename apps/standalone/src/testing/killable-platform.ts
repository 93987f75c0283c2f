import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Connection } from '../connection.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** The platform as a process that is killed and started again on the same folder and ports. */
export class KillablePlatform implements AsyncDisposable {
  readonly #home: string;
  readonly #args: readonly string[];
  readonly #ready: string;
  #child: ChildProcess | undefined;

  constructor(home: string, ports: { storage: number; compute: number; orchestrator: number }) {
    this.#home = home;
    this.#ready = `http://127.0.0.1:${ports.compute}/ready`;
    this.#args = Object.entries({
      home,
      'storage-port': ports.storage,
      'compute-port': ports.compute,
      'orchestrator-port': ports.orchestrator,
      learn: 2,
      attempts: 1000,
      'log-level': 'error',
    }).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  }

  /** The id of the process; undefined before the first start. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it, and resolves once it is ready: with the milliseconds that took. */
  async start(): Promise<number> {
    const from = performance.now();
    const child = spawn(process.execPath, [MAIN, ...this.#args], { stdio: ['ignore', 'inherit', 'inherit'] });
    this.#child = child;
    while (!(await answers(this.#ready))) {
      if (child.exitCode !== null) throw new Error(`the platform ended with exit code ${child.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return performance.now() - from;
  }

  /** How clients find it: the file that tells so appears soon after it is ready. */
  async connection(): Promise<Connection> {
    for (;;) {
      const text = await readFile(join(this.#home, 'connection.json'), 'utf8').catch(() => undefined);
      if (text !== undefined) return JSON.parse(text) as Connection;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Kills the process, as a power switch would, and resolves when it is gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    child.kill(signal);
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** So many ports that are free now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map(async (server) => await once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  });
  await Promise.all(servers.map(async (server) => await once(server.close(), 'close')));
  return ports;
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}
