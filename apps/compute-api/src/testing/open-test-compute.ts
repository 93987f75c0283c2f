import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { PlatformError, type Slots, type Ticket, TOPICS } from '@morpheo/common';
import { openMemoryBroker } from '@morpheo/service/broker';
import { type Database, openSqlite } from '@morpheo/service/database';
import { silentLog } from '@morpheo/service/log';
import { type Compute, startCompute } from '../compute.ts';
import { COMPUTE_DEFAULTS, type ComputeSettings } from '../config.ts';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import { PIN_ORDER } from '../outbox/effects.ts';
import { type Broken, FakeChecks, fakeSystems } from './fake-systems.ts';
import { type TestOffers, TestWorker } from './test-worker.ts';

/** Quick, so that what is left to a loop happens within a test. */
const QUICK: ComputeSettings = {
  ...COMPUTE_DEFAULTS,
  everyMs: 20,
  retryBackOff: { firstMs: 1, mostMs: 5, jitter: 0.25 },
  effectBackOff: { firstMs: 1, mostMs: 5, jitter: 0.25 },
  // Whoever claims passes over an order of which workers are just told again: no test is to meet that by chance.
  wakeAgainMs: 3_600_000,
};

/** A compute-api whose other systems record the calls that they get, and fail on request. */
export interface TestCompute extends AsyncDisposable {
  /** Orders that are posted or retried with it are checked when it answers, unless storage is broken. */
  readonly api: Compute['api'];
  /** As it is: orders may not be checked yet when it answers. */
  readonly unchecked: Compute['api'];
  /** The calls of workers of the originals; absent where orders are not for them. */
  readonly foreign: Compute['foreign'];
  /** The uuids of the models and predictions that others have stored. */
  readonly stored: Set<string>;
  /** How storage checks orders. */
  readonly checks: FakeChecks;
  readonly database: Database<Schema>;
  /** What was published on the orders' topics, oldest first. */
  readonly published: { topic: string; message: string }[];
  /** The calls that storage and the orchestrator got and answered, oldest first, as `name argument`. */
  readonly calls: string[];
  readonly broken: Broken;
  /** `gpus`: how many the worker has, and `gpuSlots` how many orders may share one. */
  worker(slots?: Slots, gpus?: number, gpuSlots?: number, offers?: TestOffers): Promise<TestWorker>;
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
  for (const topic of Object.values(TOPICS)) {
    const handle = async (message: string): Promise<void> => void published.push({ topic, message });
    stack.use(await broker.subscribe({ topic, channel: 'compute', handle }));
  }
  const calls: string[] = [];
  const broken: Broken = {};
  const checks = new FakeChecks();
  const stored = new Set<string>();
  const systems = fakeSystems(calls, broken, checks, stored);
  const log = silentLog;
  const signTicket = async (ticket: Ticket) => JSON.stringify(ticket);
  const compute = stack.use(
    startCompute({ database, broker, log, settings: { ...QUICK, ...settings }, signTicket, ...systems }),
  );
  const opened = stack.move();
  return {
    api: checkedApi(compute.api, database, broken),
    unchecked: compute.api,
    foreign: compute.foreign,
    stored,
    checks,
    database,
    published,
    calls,
    broken,
    worker: async (slots, gpus, gpuSlots, offers) =>
      await TestWorker.register(compute.api, randomUUID(), slots, gpus, gpuSlots, offers),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** The same API; what posts or retries an order answers when it is checked. */
function checkedApi(api: Compute['api'], { read }: Database<Schema>, broken: Broken): Compute['api'] {
  async function checked<T>(answer: Promise<T>): Promise<T> {
    await answer;
    const due = read
      .selectFrom('outbox')
      .select('n')
      .where('effect', '=', JSON.stringify(PIN_ORDER))
      .limit(1);
    while (broken.storage === undefined && (await due.execute()).length > 0) await setTimeout(5);
    return await answer;
  }
  return {
    ...api,
    learn: async (input, call) => await checked(api.learn(input, call)),
    pred: async (input, call) => await checked(api.pred(input, call)),
    postJob: async (input, call) => await checked(api.postJob(input, call)),
    retryOrder: async (input, call) => await checked(api.retryOrder(input, call)),
  };
}

/** An error as a system that is away makes it. */
export function away(): PlatformError {
  return new PlatformError('unavailable', 'nobody answers');
}
