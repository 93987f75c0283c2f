import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { openPinningStorage } from '@morpheo/compute-api/testing';
import { openMemoryBroker } from '@morpheo/service/broker';
import { createCallers } from '@morpheo/service/http';
import { createLog } from '@morpheo/service/log';
import { createMetrics } from '@morpheo/service/metrics';
import { openStorageService } from '@morpheo/storage-api';
import { type ReadServer, readServer } from '../flat/read-server.ts';
import { type Served, serve } from '../process/serve.ts';

const HOST = { host: '127.0.0.1', port: 0, version: '0' } as const;

// One service on one database, as the one argument says, for callers with credentials.
await serve(async ([how = '{}']) => {
  const server = readServer.parse(JSON.parse(how));
  return server.service === 'compute' ? await openCompute(server) : await openStorage(server);
});

async function openCompute({ database, callers }: ReadServer): Promise<Served> {
  const log = createLog({ service: 'compute-api', level: 'warn' });
  await using stack = new AsyncDisposableStack();
  const storage = stack.use(await openPinningStorage());
  const service = stack.use(
    await openComputeService({
      ...HOST,
      database,
      broker: stack.use(openMemoryBroker()),
      storage: { url: storage.url },
      callers: createCallers(callers),
      anonymousIntake: true,
      streamLimits: { perCaller: 0, inAll: 0 },
      settings: COMPUTE_DEFAULTS,
      metrics: createMetrics({ process: true }),
      log,
    }),
  );
  const opened = stack.move();
  return { url: service.url, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

async function openStorage({ database, callers, folder }: ReadServer): Promise<Served> {
  return await openStorageService({
    ...HOST,
    dataFolder: folder,
    database,
    callers: createCallers(callers),
    metrics: createMetrics({ process: true }),
    log: createLog({ service: 'storage-api', level: 'warn' }),
  });
}
