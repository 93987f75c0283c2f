import { setTimeout as sleep } from 'node:timers/promises';
import { type Flags, mainOf, ServiceProcess } from '@morpheo/real-parts';

const RESTART_AFTER_MS = 500;
const HEALTHY_WITHIN_MS = 240_000;

/** One of our services in a cluster; one that ends by itself is started again, as whoever looks after services does. */
export class ClusterService extends ServiceProcess {
  readonly name: string;
  /** Where it listens; absent for one that takes any port. */
  readonly port: number | undefined;
  /** What it prints is added to this file. */
  readonly logFile: string;

  constructor(
    name: string,
    app: 'compute-api' | 'compute-worker' | 'storage-api',
    flags: Flags,
    logFile: string,
  ) {
    super({ main: mainOf(app), flags, output: { file: logFile }, restartAfterMs: RESTART_AFTER_MS });
    this.name = name;
    this.port = 'port' in flags ? Number(flags.port) : undefined;
    this.logFile = logFile;
  }
}

/** Resolves when a service answers; rejects where it does not within a minute. */
export async function untilHealthy(url: string): Promise<void> {
  const deadline = Date.now() + HEALTHY_WITHIN_MS;
  while (!(await fetch(`${url}/health`).catch(() => undefined))?.ok) {
    if (Date.now() > deadline) throw new Error(`${url} does not answer.`);
    await sleep(100);
  }
}
