import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { openPinningStorage } from '@morpheo/compute-api/testing';
import type { PostgresTarget } from '@morpheo/real-parts';
import { openMemoryBroker, openNsqBroker } from '@morpheo/service/broker';
import { createLog } from '@morpheo/service/log';
import { type Served, serve } from '../process/serve.ts';

// compute-api on a database file, which is the one argument; or on PostgreSQL and NSQ: the arguments are the
// database's address as JSON, and nsqd's as host:port.
await serve(async ([database = '', nsqd]) => await openCompute(database, nsqd));

/** Opens compute-api for orders from anybody, beside what checks all of them. No worker comes. */
async function openCompute(database: string, nsqd: string | undefined): Promise<Served> {
  const log = createLog({ service: 'compute-api', level: 'warn' });
  await using stack = new AsyncDisposableStack();
  const storage = stack.use(await openPinningStorage());
  const service = stack.use(
    await openComputeService({
      host: '127.0.0.1',
      port: 0,
      database:
        nsqd === undefined
          ? { engine: 'sqlite', file: database }
          : { engine: 'postgres', address: JSON.parse(database) as PostgresTarget },
      broker: stack.use(nsqd === undefined ? openMemoryBroker() : openNsqBroker({ nsqds: [nsqd], log })),
      storage: { url: storage.url },
      callers: null,
      anonymousIntake: true,
      settings: COMPUTE_DEFAULTS,
      version: '0',
      log,
    }),
  );
  const opened = stack.move();
  return { url: service.url, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
