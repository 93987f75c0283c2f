import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mainOf, ServiceProcess } from '@morpheo/real-parts';
import type { Connection } from '../connection.ts';

/** The platform as a process that is killed and started again on the same folder and ports. */
export class KillablePlatform extends ServiceProcess {
  readonly #home: string;

  constructor(home: string, ports: { storage: number; compute: number; orchestrator: number }) {
    super({
      main: mainOf('standalone'),
      flags: {
        ...{ home, 'storage-port': ports.storage, 'compute-port': ports.compute },
        ...{ 'orchestrator-port': ports.orchestrator, learn: 2, attempts: 1000, 'log-level': 'error' },
      },
      ready: `http://127.0.0.1:${ports.compute}/ready`,
      output: 'show',
    });
    this.#home = home;
  }

  /** How clients find it: the file that tells so appears soon after it is ready. */
  async connection(): Promise<Connection> {
    for (;;) {
      const text = await readFile(join(this.#home, 'connection.json'), 'utf8').catch(() => undefined);
      if (text !== undefined) return JSON.parse(text) as Connection;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
