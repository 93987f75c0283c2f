import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, mainOf, quickFolder, ServiceProcess } from '@morpheo/real-parts';

/** compute-api as a process of its own, open to everybody, on a folder and a port that stay when it is killed. */
export class ComputeProcess extends ServiceProcess {
  readonly url: string;
  readonly #folder: string;

  constructor(folder: string, port: number, storage: string) {
    const url = `http://127.0.0.1:${port}`;
    super({
      main: mainOf('compute-api'),
      flags: {
        ...{ 'data-dir': folder, port, 'insecure-open': '', 'log-level': 'error', attempts: 1000 },
        ...{ storage, 'storage-user': 'u', 'storage-password': 'p' },
      },
      ready: `${url}/health`,
      output: 'show',
    });
    this.url = url;
    this.#folder = folder;
  }

  /** SIGKILL at the next moment when it writes to its database, or at a later one: so many times it is seen to write. */
  async killAtWrite(writes = 1): Promise<void> {
    const watcher = watch(this.#folder);
    try {
      for (let seen = 0; seen < writes; seen += 1) await once(watcher, 'change');
      await this.kill();
    } finally {
      watcher.close();
    }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true });
  }
}

/** Makes a {@link ComputeProcess} that does not run yet; its storage is away where none is named. */
export async function computeProcess(storage = 'http://127.0.0.1:9'): Promise<ComputeProcess> {
  const folder = await mkdtemp(join(quickFolder(), 'morpheo-compute-process-'));
  return new ComputeProcess(folder, await freePort(), storage);
}
