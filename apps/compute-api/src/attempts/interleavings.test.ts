import { type Claim, isPlatformError, type OrderStatus } from '@morpheo/common';
import { sampleSize } from '@morpheo/real-parts';
import { dumpTables } from '@morpheo/service/database/testing';
import { eventually } from '@morpheo/service/testing';
import fc from 'fast-check';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet } from '../testing/orders.ts';
import { resultOf, TestWorker } from '../testing/test-worker.ts';

/** Where an entry of the history may lead from where the one before it stood. */
const LEADS_TO: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  waiting: ['waiting', 'todo', 'failed', 'cancelled'],
  todo: ['pending', 'cancelled'],
  pending: ['pending', 'todo', 'done', 'failed', 'cancelled'],
  done: [],
  failed: ['waiting'],
  cancelled: ['waiting'],
};

const WORKERS = 2;
const ORDERS = 3;
const which = (most: number) => fc.nat({ max: most - 1 });

/** What the worker of an attempt may say of it. */
const REPORTS = ['finish', 'fail', 'error', 'release', 'renew', 'note', 'log'] as const;

/** What anybody may do, at any time, whether it is allowed then or not; `held` is any attempt that was ever claimed. */
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('claim' as const), worker: which(WORKERS) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(...REPORTS),
      held: fc.nat({ max: 30 }),
    }),
  },
  fc.record({ do: fc.constantFrom('cancel', 'retry', 'post'), order: which(ORDERS) }),
  fc.record({ do: fc.constant('restart' as const), worker: which(WORKERS) }),
  fc.record({ do: fc.constant('expire' as const), held: fc.nat({ max: 30 }) }),
);

/** Each mixture begins with an attempt that is lost, and of which its worker calls twice all the same. */
const lateReport = fc.record({ do: fc.constantFrom(...REPORTS), held: fc.constant(0) });
const lost = fc.tuple(
  fc.record({ do: fc.constant('claim' as const), worker: which(WORKERS) }),
  fc.record({ do: fc.constant('expire' as const), held: fc.constant(0) }),
  lateReport,
  lateReport,
);
/** How many mixtures are played on SQLite; a quarter of them on PostgreSQL. */
const MIXTURES = sampleSize('MIXTURES', { small: 60, full: 300 });
/** What changes by itself, and by what a worker that lives is heard to say. */
const BY_ITSELF = ['orders.publish_after', 'orders.publishes', 'workers.seen_at'];

testOnEngines(
  'Whatever workers and people do in whatever order, histories are ways that orders may go, and late calls change nothing',
  async (t, openTestCompute, engine) => {
    t.timeout(600_000);
    const runs = engine === 'sqlite' ? MIXTURES : Math.ceil(MIXTURES / 4);
    let late = 0;
    await fc.assert(
      fc.asyncProperty(lost, fc.array(step, { minLength: 6, maxLength: 36 }), async (first, steps) => {
        await using compute = await openTestCompute({ attempts: 3, leaseMs: 600_000 });
        const play = await Play.open(compute);
        for (const one of [...first, ...steps]) await play.do(one);
        late += play.lateCalls;
        await eventually(t, async (t) =>
          t.deepEqual(await compute.database.read.selectFrom('outbox').selectAll().execute(), []),
        );
        for (const { uuid } of play.orders) await checkHistory(compute, uuid);
      }),
      { numRuns: runs, includeErrorInReport: true },
    );
    t.log(`${late} late calls changed nothing`);
    t.true(late > runs);
  },
);

interface Held {
  readonly claim: Claim;
  readonly worker: number;
}

class Play {
  readonly orders = Array.from({ length: ORDERS }, () => aLearnuplet());
  readonly #compute: TestCompute;
  readonly #workers: TestWorker[];
  readonly #held: Held[] = [];
  /** How many calls of attempts that were over were made, and found to change nothing. */
  lateCalls = 0;

  constructor(compute: TestCompute, workers: TestWorker[]) {
    this.#compute = compute;
    this.#workers = workers;
  }

  static async open(compute: TestCompute): Promise<Play> {
    const workers = await Promise.all(Array.from({ length: WORKERS }, async () => await compute.worker()));
    const play = new Play(compute, workers);
    const [first, second] = play.orders;
    if (first !== undefined && second !== undefined) {
      second.rank = 1;
      second.model_start = first.model_end;
    }
    for (const body of play.orders) await compute.api.learn({ body });
    return play;
  }

  /** Does a step; that it is refused is an answer as good as any, that it breaks is not. */
  async do(one: typeof step extends fc.Arbitrary<infer S> ? S : never): Promise<void> {
    try {
      if ('order' in one) await this.#intervene(one.do, this.orders[one.order]?.uuid ?? '');
      else if ('held' in one) await this.#ofAttempt(one.do, one.held);
      else if (one.do === 'claim') await this.#claim(one.worker);
      else await this.#restart(one.worker);
    } catch (error) {
      if (!isPlatformError(error, 'stale_attempt', 'wrong_state')) throw error;
    }
  }

  async #claim(worker: number): Promise<void> {
    const claim = await this.#workers[worker]?.claim();
    if (claim !== null && claim !== undefined) this.#held.push({ claim, worker });
  }

  async #restart(worker: number): Promise<void> {
    const old = this.#workers[worker];
    if (old !== undefined) this.#workers[worker] = await TestWorker.register(this.#compute.api, old.id);
  }

  async #intervene(step: 'cancel' | 'retry' | 'post', id: string): Promise<void> {
    const { api } = this.#compute;
    if (step === 'cancel') await api.cancelOrder({ params: { id } });
    else if (step === 'retry') await api.retryOrder({ params: { id } });
    else for (const body of this.orders.filter(({ uuid }) => uuid === id)) await api.learn({ body });
  }

  async #ofAttempt(step: ReportStep | 'expire', index: number): Promise<void> {
    const held = this.#held[index % Math.max(1, this.#held.length)];
    if (held === undefined) return;
    if (step === 'expire') return await this.#expire(held);
    if (await this.#runs(held)) return await this.#call(step, held);
    await untilSettled(this.#compute);
    const before = await dumpTables(this.#compute.database, BY_ITSELF);
    const outcome = await this.#call(step, held).catch((error: unknown) => error);
    const after = await dumpTables(this.#compute.database, BY_ITSELF);
    hold(
      JSON.stringify(after) === JSON.stringify(before),
      `a late ${step} of attempt ${held.claim.attempt} changed something`,
    );
    this.lateCalls += 1;
    if (outcome !== undefined) throw outcome;
  }

  async #runs({ claim }: Held): Promise<boolean> {
    const row = await this.#compute.database.read
      .selectFrom('orders')
      .select(['attempt', 'lease_until'])
      .where('id', '=', claim.order)
      .executeTakeFirst();
    return row?.attempt === claim.attempt && row.lease_until !== null;
  }

  /** Has the lease of an attempt that runs run out, and waits until the order was taken back. */
  async #expire(held: Held): Promise<void> {
    const { order, attempt } = held.claim;
    await this.#compute.database.write(async (tx) => {
      const rows = tx.updateTable('orders').set({ lease_until: 1 }).where('id', '=', order);
      await rows.where('attempt', '=', attempt).where('lease_until', 'is not', null).execute();
    });
    while (await this.#runs(held)) await soon();
  }

  async #call(step: ReportStep, { claim, worker: index }: Held): Promise<void> {
    const worker = this.#workers[index];
    if (worker === undefined) return;
    const { api } = this.#compute;
    const failure = { reason: 'internal', message: 'It broke.' } as const;
    const params = { id: claim.order, attempt: claim.attempt };
    if (step === 'finish') await worker.report(claim, { outcome: 'done', result: resultOf(claim) });
    else if (step === 'fail') await worker.fail(claim);
    else if (step === 'error') await worker.report(claim, { outcome: 'error', failure });
    else if (step === 'release') await worker.report(claim, { outcome: 'released' });
    else if (step === 'note') await api.noteStep({ params, body: { what: 'started', step: 'train' } });
    else if (step === 'log') {
      const chunks = [{ seq: 0, step: 'train', stream: 'stdout', text: 'line\n' } as const];
      await api.appendLog({ params, body: { chunks } });
    } else {
      const attempts = [{ order: claim.order, attempt: claim.attempt }];
      await api.renewLeases({ params: { worker: worker.id }, body: { boot: worker.boot, attempts } });
    }
  }
}

type ReportStep = (typeof REPORTS)[number];

/** Resolves when no effect is due any more: then nothing changes orders but who is asked to. */
async function untilSettled({ database }: TestCompute): Promise<void> {
  while ((await database.read.selectFrom('outbox').select('n').limit(1).execute()).length > 0) await soon();
}

async function soon(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2));
}

async function checkHistory({ api, database }: TestCompute, id: string): Promise<void> {
  const order = await api.getOrder({ params: { id } });
  const events = await database.read
    .selectFrom('events')
    .selectAll()
    .where('order_id', '=', id)
    .orderBy('n')
    .execute();
  const [first, ...rest] = events;
  let before = first;
  for (const event of rest) {
    const from = before?.status ?? 'todo';
    const ways = event.what === 'told' ? [from] : LEADS_TO[from];
    hold(ways.includes(event.status), `${from} leads to ${event.status} at entry ${event.n} of ${id}`);
    hold(event.n === (before?.n ?? 0) + 1, `the entry before ${event.n} of ${id} is missing`);
    hold(event.attempt >= (before?.attempt ?? 0), `the attempt falls at entry ${event.n} of ${id}`);
    before = event;
  }
  hold(
    before?.status === order.status,
    `the history of ${id} ends with ${before?.status}, the order is ${order.status}`,
  );
  const claims = events.filter((event) => event.what === 'claimed').length;
  hold(claims === order.attempt && order.attempts.length === order.attempt, `${id} has ${claims} claims`);
  const open = order.attempts.filter((attempt) => attempt.outcome === undefined).length;
  hold(open === (order.status === 'pending' ? 1 : 0), `${id} is ${order.status} with ${open} open attempts`);
  const wins = order.attempts.filter((attempt) => attempt.outcome === 'done').length;
  hold(
    wins === (order.status === 'done' ? 1 : 0),
    `${id} is ${order.status}, and ${wins} attempts brought a result`,
  );
}

function hold(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}
