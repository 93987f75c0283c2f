import { randomUUID } from 'node:crypto';
import { PlatformError, type Resource } from '@morpheo/common';
import { openMemoryBroker } from '@morpheo/service/broker';
import { type Database, openSqlite } from '@morpheo/service/database';
import { silentLog } from '@morpheo/service/log';
import type { Systems } from '../carry-out.ts';
import { COMPUTE_DEFAULTS, type Compute, type ComputeSettings, startCompute } from '../compute.ts';
import { migrations } from '../migrations.ts';
import type { Schema } from '../schema.ts';
import { TestWorker } from './test-worker.ts';

/** Quick, so that what is left to a loop happens within a test. */
const QUICK: ComputeSettings = {
  ...COMPUTE_DEFAULTS,
  everyMs: 20,
  retryBackOff: { firstMs: 1, mostMs: 5 },
  effectBackOff: { firstMs: 1, mostMs: 5 },
};

/** A compute-api whose neighbours keep what they are told and fail on request. */
export interface TestCompute extends AsyncDisposable {
  readonly api: Compute['api'];
  readonly database: Database<Schema>;
  /** What was published on the orders' topics, oldest first. */
  readonly published: { topic: string; message: string }[];
  /** The calls that storage and the orchestrator heard and answered, oldest first, as `name argument`. */
  readonly heard: string[];
  /** While set, every call to that neighbour fails with it. */
  readonly broken: { storage?: PlatformError; orchestrator?: PlatformError };
  /** `gpus`: how many the worker has, and `gpuSlots` how many orders may share one. */
  worker(slots?: { learn: number; predict: number }, gpus?: number, gpuSlots?: number): Promise<TestWorker>;
}

/** Opens one; `settings` are merged over quick ones, and the database, one in memory where absent, is closed with it. */
export async function openTestCompute(
  settings: Partial<ComputeSettings> = {},
  given?: Database<Schema>,
): Promise<TestCompute> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(given ?? (await openSqlite<Schema>({ file: ':memory:', migrations })));
  const broker = stack.use(openMemoryBroker());
  const published: TestCompute['published'] = [];
  for (const topic of ['train', 'prediction']) {
    const handle = async (message: string): Promise<void> => void published.push({ topic, message });
    stack.use(await broker.subscribe({ topic, channel: 'compute', handle }));
  }
  const heard: string[] = [];
  const broken: TestCompute['broken'] = {};
  const systems = neighbours(heard, broken);
  const log = silentLog;
  const compute = stack.use(
    startCompute({ database, broker, log, settings: { ...QUICK, ...settings }, ...systems }),
  );
  const opened = stack.move();
  return {
    api: compute.api,
    database,
    published,
    heard,
    broken,
    worker: async (slots, gpus, gpuSlots) =>
      await TestWorker.register(compute.api, randomUUID(), slots, gpus, gpuSlots),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

function neighbours(heard: string[], broken: TestCompute['broken']): Systems {
  const storage = (call: string): void => {
    if (broken.storage !== undefined) throw broken.storage;
    heard.push(call);
  };
  const orchestrator = async (call: string): Promise<Record<string, unknown>> => {
    if (broken.orchestrator !== undefined) throw broken.orchestrator;
    heard.push(call);
    return {};
  };
  return {
    storage: {
      publishResult: async ({ params }) => {
        storage(`publish ${params.order} ${params.attempt}`);
        return { uuid: params.order, timestamp_upload: 0, size: 0, sha256: '' } satisfies Resource;
      },
      discardResults: async ({ params }) => {
        storage(`discard ${params.order}`);
        return undefined;
      },
    },
    orchestrator: {
      setWorker: async ({ params, body }) =>
        await orchestrator(`taken ${params.type} ${params.uuid} ${body.worker}`),
      learnDone: async ({ params, body }) =>
        await orchestrator(`learndone ${params.uuid} ${JSON.stringify(body)}`),
      predDone: async ({ params, body }) =>
        await orchestrator(`preddone ${params.uuid} ${JSON.stringify(body)}`),
    },
  };
}

/** An error as a neighbour that is away makes it. */
export function away(): PlatformError {
  return new PlatformError('unavailable', 'nobody answers');
}
