import { setTimeout as pause } from 'node:timers/promises';
import { withParts } from '@morpheo/real-parts';
import { openDatabase } from '@morpheo/service/database';
import { sharedPostgres } from '@morpheo/service/database/testing';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import type { ComputeSettings } from './config.ts';
import { migrations } from './db/migrations.ts';
import type { Schema } from './db/schema.ts';
import { openTestCompute, type TestCompute } from './testing/open-test-compute.ts';
import { aLearnuplet } from './testing/orders.ts';
import { aSearch, runTrial } from './testing/searches.ts';
import type { TestWorker } from './testing/test-worker.ts';

// One after the other: what they measure is how services share a database, not a machine.
const test = withParts(ava.serial, 'postgres');
const postgres = sharedPostgres(ava);
/** So many compute-apis, each with a broker of its own, side by side on one database. */
async function openSeveral(count: number, settings: Partial<ComputeSettings> = {}) {
  await using stack = new AsyncDisposableStack();
  const server = await postgres();
  const address = stack.use(await server.createDatabase());
  const place = { engine: 'postgres', address, poolSize: 8 } as const;
  const options = { owner: 'compute_api', migrations };
  const computes = await Promise.all(
    Array.from({ length: count }, async () =>
      stack.use(await openTestCompute(settings, await openDatabase<Schema>(place, options))),
    ),
  );
  const opened = stack.move();
  return { computes, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

/** What storage and the orchestrator were called with by all of them, with how often. */
function callsOf(computes: readonly TestCompute[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const call of computes.flatMap(({ calls }) => calls)) counts.set(call, (counts.get(call) ?? 0) + 1);
  return counts;
}

async function claimAll(worker: TestWorker, claimed: string[], isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const claim = await worker.claim();
    if (claim === null) {
      // As workers do: who asks without a pause takes the database from those who check and place orders.
      await pause(50);
      continue;
    }
    claimed.push(`${claim.order} ${claim.attempt}`);
    await worker.finish(claim);
  }
}

test('Two services on one database hand out each order once, and report each once', async (t) => {
  t.timeout(180_000);
  await using several = await openSeveral(2);
  const { computes } = several;
  const bodies = Array.from({ length: 500 }, () => aLearnuplet());
  const workers = await Promise.all(
    Array.from({ length: 12 }, async (_, index) => await computes[index % 2]?.worker()),
  );
  const claimed: string[] = [];
  const working = workers.map(
    async (worker) => worker && (await claimAll(worker, claimed, () => claimed.length >= bodies.length)),
  );
  const waiting = [...bodies];
  const placing = Array.from({ length: 8 }, async (_, index) => {
    for (let body = waiting.pop(); body !== undefined; body = waiting.pop()) {
      await computes[index % 2]?.api.learn({ body });
    }
  });
  await Promise.all([...placing, ...working]);
  t.is(claimed.length, 500);
  t.is(new Set(claimed).size, 500);
  t.true(claimed.every((claim) => claim.endsWith(' 1')));
  await eventually(t, async (t) => t.deepEqual((await computes[0]?.api.getQueue({}))?.counts, { done: 500 }));
  await eventually(t, (t) => t.is(callsOf(computes).size, 1_500));
  t.deepEqual(
    [...callsOf(computes)].filter(([, times]) => times !== 1),
    [],
  );
});

test('Of two reapers one takes an order back, and its late worker is refused by both services', async (t) => {
  t.timeout(300_000);
  await using several = await openSeveral(2, { attempts: 9, leaseMs: 600_000 });
  const [one, other] = several.computes;
  if (one === undefined || other === undefined) return t.fail();
  const worker = await one.worker();
  const bodies = Array.from({ length: 60 }, () => aLearnuplet());
  const stale = [];
  for (const body of bodies) {
    await one.api.learn({ body });
    stale.push(await worker.mustClaim());
  }
  await other.database.write(async (tx) => await tx.updateTable('orders').set({ lease_until: 1 }).execute());
  const lost = async () =>
    await one.database.read.selectFrom('events').select('order_id').where('what', '=', 'lost').execute();
  await eventually(t, async (t) => t.is((await lost()).length, 60));
  const next = await other.worker();
  for (const _ of bodies) await eventually(t, async (t) => t.is((await next.claim())?.attempt, 2));
  for (const claim of stale) await t.throwsAsync(worker.finish(claim), { code: 'stale_attempt' });
  t.is((await lost()).length, 60);
});

test('Whoever follows an order at one service hears at once what happens at another', async (t) => {
  await using several = await openSeveral(2);
  const [here, there] = several.computes;
  if (here === undefined || there === undefined) return t.fail();
  const body = aLearnuplet();
  await here.api.learn({ body });
  const claim = await (await there.worker()).mustClaim();
  const params = { id: claim.order, attempt: claim.attempt };
  const events = await here.api.orderEvents({ params: { id: body.uuid }, headers: {} });
  const heardAt: number[] = [];
  for await (const { event } of events) {
    if (event !== 'claimed' && event !== 'step_started') continue;
    heardAt.push(performance.now());
    if (heardAt.length > 20) break;
    await there.api.noteStep({ params, body: { what: 'started', step: 'train' } });
  }
  const apart = heardAt.slice(1).map((at, index) => at - (heardAt[index] ?? 0));
  const median = apart.toSorted((a, b) => a - b)[10] ?? Infinity;
  // Whoever only looks now and then does so once in a second, whatever the machine.
  t.true(median < 600, `${median} ms`);
});

test('Two services on one database cancel a group together, each of its orders once', async (t) => {
  t.timeout(180_000);
  await using several = await openSeveral(2);
  const [one, other] = several.computes as [TestCompute, TestCompute];
  const sweep = { params: { name: 'sweep' }, query: {} };
  const chain = [aLearnuplet({ group: 'sweep' })];
  for (let rank = 1; rank < 8; rank++)
    chain.push(aLearnuplet({ group: 'sweep', rank, model_start: chain[rank - 1]?.model_end ?? '' }));
  for (const body of chain) await one.api.learn({ body });
  const placing = Array.from({ length: 24 }, async (_, n) => {
    const { unchecked } = n % 2 === 0 ? one : other;
    return await unchecked.learn({ body: aLearnuplet({ group: 'sweep' }) }).catch(() => undefined);
  });
  await Promise.all([
    ...placing,
    one.api.cancelOrderGroup(sweep),
    other.api.cancelOrderGroup(sweep),
    one.api.cancelOrderGroup(sweep),
  ]);
  await eventually(t, async (t) => {
    const { counts, orders, asked } = await other.api.getOrderGroup(sweep);
    t.deepEqual([counts.cancelled, asked?.under_way], [orders, false]);
  });
  const ends = await one.database.read
    .selectFrom('events')
    .select('order_id')
    .where('what', 'in', ['cancelled', 'failed'])
    .execute();
  t.is(ends.length, new Set(ends.map(({ order_id }) => order_id)).size);
});

test('Two services on one database take each step of a search once', async (t) => {
  await using several = await openSeveral(2);
  const { computes } = several;
  const body = aSearch({ parallel: 6, control: true, budget: { trials: 12 } });
  const params = { uuid: body.uuid };
  await Promise.all(computes.map(async ({ api }) => await api.postSearch({ body })));
  const isOver = async ({ api }: TestCompute) => (await api.getSearch({ params })).status !== 'running';
  const working = computes.map(async (compute) => {
    const worker = await compute.worker({ learn: 0, predict: 0, job: 3 });
    while (!(await isOver(compute))) {
      const claim = await worker.claim(0, ['job']);
      if (claim === null) await pause(20);
      else await runTrial(worker, claim);
    }
  });
  await Promise.all(working);
  const [one] = computes;
  const runs = await one?.database.read.selectFrom('search_runs').selectAll().orderBy('told').execute();
  const numbers = Array.from({ length: runs?.length ?? 0 }, (_, at) => at + 1);
  t.deepEqual(
    runs?.map(({ told }) => told),
    numbers,
  );
  t.deepEqual(
    runs?.map(({ n }) => n).toSorted((a, b) => a - b),
    numbers,
  );
  t.is(new Set(runs?.map(({ order_id }) => order_id)).size, numbers.length);
  t.like(await one?.api.getSearch({ params }), { status: 'done', trials: 12, control: { trials: 12 } });
});
