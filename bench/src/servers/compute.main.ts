import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { openMemoryBroker } from '@morpheo/service/broker';
import { createLog } from '@morpheo/service/log';
import { serve } from '../process/serve.ts';

// compute-api on a database file, which is the one argument. No worker comes, so storage is never asked.
await serve(async ([databaseFile = '']) => {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(openMemoryBroker());
  const service = stack.use(
    await openComputeService({
      host: '127.0.0.1',
      port: 0,
      database: { engine: 'sqlite', file: databaseFile },
      broker,
      storage: { url: 'http://127.0.0.1:1' },
      authenticate: null,
      anonymousIntake: true,
      settings: COMPUTE_DEFAULTS,
      version: '0',
      log: createLog({ service: 'compute-api', level: 'warn' }),
    }),
  );
  const opened = stack.move();
  return { url: service.url, [Symbol.asyncDispose]: () => opened.disposeAsync() };
});
