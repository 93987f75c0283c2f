import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { quickFolder } from '@morpheo/real-parts';
import { openMemoryBroker } from '@morpheo/service/broker';
import { createCallers, hashSecret } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { COMPUTE_DEFAULTS } from '../config.ts';
import { type ComputeServiceOptions, openComputeService } from '../service.ts';
import { openPinningStorage } from './pinning-storage.ts';

/** The credentials of the caller that may do everything at a test's service. */
export const ADMIN = { name: 'ada', secret: 'a secret of some length' } as const;

/** A compute-api over HTTP, on a database in a fresh folder; storage checks orders and is away for all else. */
export async function openTestService(
  anonymousIntake = true,
  options: Partial<ComputeServiceOptions> = {},
): Promise<{ url: string } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(quickFolder(), 'morpheo-compute-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  const broker = stack.use(openMemoryBroker());
  const entry = { name: ADMIN.name, roles: ['admin' as const], secretHash: await hashSecret(ADMIN.secret) };
  const service = stack.use(
    await openComputeService({
      host: '127.0.0.1',
      port: 0,
      database: { engine: 'sqlite', file: join(folder, 'compute.db') },
      broker,
      storage: { url: stack.use(await openPinningStorage()).url },
      callers: createCallers([entry]),
      anonymousIntake,
      settings: COMPUTE_DEFAULTS,
      version: '0',
      log: silentLog,
      ...options,
    }),
  );
  const opened = stack.move();
  return { url: service.url, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}
