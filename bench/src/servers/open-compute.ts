import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import type { Broker } from '@morpheo/service/broker';
import type { DatabasePlace } from '@morpheo/service/database';
import { createLog, type Log } from '@morpheo/service/log';
import type { Served } from '../process/serve.ts';

/** Opens compute-api for orders from anybody. No worker comes, so storage is never asked. */
export async function openCompute(
  database: DatabasePlace,
  openBroker: (log: Log) => Broker,
): Promise<Served> {
  const log = createLog({ service: 'compute-api', level: 'warn' });
  await using stack = new AsyncDisposableStack();
  const service = stack.use(
    await openComputeService({
      host: '127.0.0.1',
      port: 0,
      database,
      broker: stack.use(openBroker(log)),
      storage: { url: 'http://127.0.0.1:1' },
      authenticate: null,
      anonymousIntake: true,
      settings: COMPUTE_DEFAULTS,
      version: '0',
      log,
    }),
  );
  const opened = stack.move();
  return { url: service.url, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
