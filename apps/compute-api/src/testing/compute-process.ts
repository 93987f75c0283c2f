import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** compute-api as a process of its own, on a folder and a port that stay when it is killed. */
export interface ComputeProcess extends AsyncDisposable {
  readonly url: string;
  /** Starts it, and resolves when it answers. */
  start(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGKILL at the next moment when it writes to its database. */
  killAtWrite(): Promise<void>;
}

/** Makes a {@link ComputeProcess} that does not run yet, open to everybody. */
export async function computeProcess(): Promise<ComputeProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-compute-process-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const storage = ['--storage', 'http://127.0.0.1:9', '--storage-user', 'u', '--storage-password', 'p'];
  const own = ['--data-dir', folder, '--port', String(port), '--insecure-open', '--log-level', 'error'];
  let child: ChildProcess | undefined;

  async function kill(): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  return {
    url,
    kill,
    async killAtWrite() {
      const watcher = watch(folder);
      try {
        await once(watcher, 'change');
        await kill();
      } finally {
        watcher.close();
      }
    },
    async start() {
      const started = spawn(process.execPath, [MAIN, ...own, ...storage], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      child = started;
      while (!(await answers(url))) {
        if (started.exitCode !== null) throw new Error(`compute-api ended with ${started.exitCode}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async [Symbol.asyncDispose]() {
      await kill();
      await rm(folder, { recursive: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return address !== null && typeof address === 'object' ? address.port : 0;
}
