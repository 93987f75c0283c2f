import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { mainOf, type ServiceOptions, ServiceProcess } from '@morpheo/real-parts';
import type { StubWorkerSettings } from './stub-worker.ts';

/** The programs of the platform that are started as processes. */
export type Program = 'storage-api' | 'compute-api' | 'compute-worker';

/** Starts one of our programs; its environment is `PATH` and what is given. */
export function startProgram(program: Program, options: Omit<ServiceOptions, 'main'>): ServiceProcess {
  const env = { PATH: process.env.PATH, ...options.env };
  const started = new ServiceProcess({ ...options, main: mainOf(program), env });
  void started.start();
  return started;
}

/** Starts a worker process that is started again, with the same id, whenever it ends: as a supervisor does it. */
export function startSupervisedWorker(
  settings: Omit<StubWorkerSettings, 'id'>,
): ServiceProcess & { readonly id: string } {
  const id = randomUUID();
  const worker = new ServiceProcess({
    main: fileURLToPath(new URL('stub-worker.ts', import.meta.url)),
    args: [JSON.stringify({ ...settings, id })],
    output: 'show',
    restartAfterMs: 0,
  });
  void worker.start();
  return Object.assign(worker, { id });
}
