import { type Claim, isPlatformError, type Learnuplet } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { sql } from 'kysely';
import { MOST_RESUMPTIONS } from '../attempts/register.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet } from '../testing/orders.ts';
import { TestWorker } from '../testing/test-worker.ts';

/** Posts as many orders, and returns them. */
async function post({ api }: TestCompute, count: number): Promise<Learnuplet[]> {
  const bodies = Array.from({ length: count }, () => aLearnuplet());
  for (const body of bodies) await api.learn({ body });
  return bodies;
}

async function claimUntilNone(worker: TestWorker): Promise<Claim[]> {
  const claims: Claim[] = [];
  for (let claim = await worker.claim(); claim !== null; claim = await worker.claim()) claims.push(claim);
  return claims;
}

/** The worker dies with all that it runs, and starts again. */
async function restart({ api }: TestCompute, { id }: TestWorker): Promise<TestWorker> {
  return await TestWorker.register(api, id);
}

async function allDue({ database }: TestCompute): Promise<void> {
  await database.write(async (tx) => await tx.updateTable('orders').set({ due_at: 0 }).execute());
}

/** Loses the worker twice with all that is due, and returns it, started again, with everything due. */
async function loseTwice(
  t: ExecutionContext,
  compute: TestCompute,
  worker: TestWorker,
  count: number,
): Promise<TestWorker> {
  let next = worker;
  for (let loss = 0; loss < 2; loss += 1) {
    await allDue(compute);
    if ((await claimUntilNone(next)).length !== count) throw new Error('not all were claimed');
    next = await restart(compute, next);
  }
  await allDue(compute);
  // Whoever claims passes over an order of which workers are just told.
  await eventually(t, async (t) => {
    const { read, now } = compute.database;
    const soon = sql<number>`${now} + 30000`;
    const untold = read.selectFrom('orders').select('id').where('publish_after', '<=', soon);
    t.deepEqual(await untold.execute(), []);
  });
  return next;
}

testOnEngines(
  'Orders that were lost together are not charged, and then isolated',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute({ attempts: 1 });
    const orders = await post(compute, 3);
    const worker = await loseTwice(t, compute, await compute.worker(), 3);
    for (const _ of orders) {
      const claim = await worker.mustClaim();
      t.is(await worker.claim(), null, 'nothing is run beside it');
      t.like(await compute.api.getOrder({ params: { id: claim.order } }), { status: 'pending', attempt: 3 });
      await worker.finish(claim);
    }
    await eventually(t, async (t) => t.deepEqual((await compute.api.getQueue({})).counts, { done: 3 }));
  },
);

testOnEngines('An isolated order that loses its worker is charged for it', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ attempts: 2 });
  const [poison] = await post(compute, 2);
  let worker = await loseTwice(t, compute, await compute.worker(), 2);
  for (const left of [1, 0]) {
    await allDue(compute);
    await eventually(t, async (t) => {
      const claim = await worker.claim();
      if (claim !== null && claim.order !== poison?.uuid) await worker.finish(claim);
      t.is(claim?.order, poison?.uuid);
    });
    worker = await restart(compute, worker);
    const { status } = await compute.api.getOrder({ params: { id: poison?.uuid ?? '' } });
    t.is(status, left === 0 ? 'failed' : 'todo');
  }
  const view = await compute.api.getOrder({ params: { id: poison?.uuid ?? '' } });
  t.like(view, { attempt: 4, failure: { reason: 'worker_lost' } });
  t.regex(
    view.failure?.message ?? '',
    /while it ran the order and nothing else: its process was started again\. Before that it was lost beside other orders \(2\)\. That was attempt 2 of 2\.$/,
  );
});

testOnEngines(
  'A worker is reserved for an isolated order, and the others go on',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const suspects = await post(compute, 2);
    const dead = await loseTwice(t, compute, await compute.worker(), 2);
    const [one, other] = [await compute.worker(), await compute.worker()];
    // Two that live, beside the one that is gone: one of them may be taken.
    await compute.database.write(
      async (tx) => await tx.updateTable('workers').set({ seen_at: 0 }).where('id', '=', dead.id).execute(),
    );
    const pause = async (due: number) =>
      await compute.database.write(
        async (tx) => await tx.updateTable('orders').set({ due_at: due }).where('alone', '=', 1).execute(),
      );
    await pause(2 ** 52);
    await post(compute, 4);
    const running = [await one.mustClaim(), await other.mustClaim()];
    await pause(0);
    t.is(await one.claim(), null, 'it is kept for the first that is to be run alone');
    const id = suspects[0]?.uuid ?? '';
    t.like(await compute.api.whyOrder({ params: { id } }), {
      code: 'workers_busy',
      sentence: `Its worker was lost 2 times while it ran beside others, so it is run alone now. Worker ${one.id} takes nothing else until it has run it.`,
    });
    const beside = await other.mustClaim();
    t.false(
      suspects.some(({ uuid }) => uuid === beside.order),
      'the other worker goes on with what is not',
    );
    for (const claim of running) await (claim === running[0] ? one : other).finish(claim);
    const alone = await one.mustClaim();
    t.is(alone.order, id);
    t.is(await one.claim(), null);
    t.is((await claimUntilNone(other)).length, 1);
    await one.finish(alone);
    t.is((await one.mustClaim()).order, suspects[1]?.uuid ?? '');
  },
);

testOnEngines('An order that is tried again by somebody begins anew', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const [first, second] = await post(compute, 2);
  const worker = await loseTwice(t, compute, await compute.worker(), 2);
  for (const body of [first, second]) {
    const params = { id: body?.uuid ?? '' };
    await compute.api.cancelOrder({ params });
    await compute.api.retryOrder({ params });
  }
  t.is((await claimUntilNone(worker)).length, 2);
});

testOnEngines(
  'Whatever runs beside poison ends well, and all poison fails',
  async (t, openTestCompute, engine) => {
    t.timeout(900_000);
    const plan = fc.record({
      workers: fc.integer({ min: 1, max: 3 }),
      orders: fc.array(fc.boolean(), { minLength: 2, maxLength: 10 }),
      moves: fc.infiniteStream(fc.nat({ max: 999 })),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ workers, orders, moves }) => {
        await using compute = await openTestCompute({ attempts: 2, leaseMs: 600_000 });
        const poison = new Set<string>();
        for (const isPoison of orders) {
          const [body] = await post(compute, 1);
          if (isPoison && body !== undefined) poison.add(body.uuid);
        }
        await playOut(compute, poison, workers, moves);
        const { items } = await compute.api.listOrders({ query: {} });
        for (const { id, status } of items) {
          const isOver = status === (poison.has(id) ? 'failed' : 'done') || status === 'pending';
          if (!isOver) throw new Error(`${poison.has(id) ? 'poison' : 'an innocent order'} is ${status}`);
        }
      }),
      { numRuns: engine === 'sqlite' ? 100 : 10, includeErrorInReport: true },
    );
    t.pass();
  },
);

/** Workers claim, finish and die by chance until nothing is left to run; a worker with poison can only die. */
async function playOut(
  compute: TestCompute,
  poison: ReadonlySet<string>,
  count: number,
  moves: Iterable<number>,
): Promise<void> {
  const workers = await Promise.all(Array.from({ length: count }, async () => await compute.worker()));
  const held: Claim[][] = workers.map(() => []);
  const chance = moves[Symbol.iterator]();
  const random = (most: number): number => Number(chance.next().value) % most;
  for (let step = 0; step < 5000 && (await isOpen(compute)); step += 1) {
    const index = random(count);
    const [worker, mine] = [workers[index], held[index]];
    if (worker === undefined || mine === undefined) continue;
    const isDoomed = mine.some(({ order }) => poison.has(order));
    const what = random(3);
    if (what > 0 && mine.length < 4) {
      const claim = await worker.claim();
      if (claim !== null) mine.push(claim);
    } else if (isDoomed) {
      workers[index] = await restart(compute, worker);
      held[index] = [];
      await allDue(compute);
    } else {
      const claim = mine.pop();
      if (claim !== undefined) await finish(worker, claim);
    }
  }
}

async function finish(worker: TestWorker, claim: Claim): Promise<void> {
  await worker.finish(claim).catch((error: unknown) => {
    if (!isPlatformError(error, 'stale_attempt')) throw error;
  });
}

async function isOpen({ database }: TestCompute): Promise<boolean> {
  const open = await database.read
    .selectFrom('orders')
    .select('id')
    .where((row) =>
      row.or([
        row('status', 'in', ['todo', 'waiting']),
        row.and([row('status', '=', 'pending'), row('lease_until', 'is not', null)]),
      ]),
    )
    .limit(1)
    .execute();
  return open.length > 0;
}

testOnEngines(
  'An attempt that kills its worker however often it is resumed is lost at last',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute({ attempts: 1 });
    const [poison] = await post(compute, 1);
    const worker = await compute.worker();
    const claim = await worker.mustClaim();
    for (let start = 0; start < MOST_RESUMPTIONS; start += 1) t.is((await worker.restart([claim])).length, 1);
    t.deepEqual(await worker.restart([claim]), []);
    t.like(await compute.api.getOrder({ params: { id: poison?.uuid ?? '' } }), {
      status: 'failed',
      failure: { reason: 'worker_lost' },
    });
  },
);
