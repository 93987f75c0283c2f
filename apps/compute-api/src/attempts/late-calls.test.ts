import type { Api, Claim, ComputeContract, OrderView, Report } from '@morpheo/common';
import { dumpTables } from '@morpheo/service/database/testing';
import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet } from '../testing/orders.ts';
import { resultOf, TestWorker } from '../testing/test-worker.ts';

/** An attempt that is over, and the worker that does not know it. */
interface Dead {
  readonly claim: Claim;
  readonly worker: TestWorker;
}

const BROKEN = { reason: 'internal', message: 'It broke.' } as const;
const FAILED = { reason: 'exit_code', message: 'It exited with 1.', exit_code: 1, step: 'train' } as const;

/** Ways in which an attempt comes to its end without its worker; each leads on to one state of the order. */
const ENDS: Readonly<
  Record<string, (t: ExecutionContext, compute: TestCompute, dead: Dead) => Promise<void>>
> = {
  'its lease ran out': async (t, compute) => await expire(t, compute),
  'its lease ran out and another runs': async (t, compute) => {
    await expire(t, compute);
    await nextOf(t, compute);
  },
  'another has brought the result': async (t, compute) => {
    await expire(t, compute);
    const { claim, worker } = await nextOf(t, compute);
    await worker.finish(claim);
  },
  'another has failed the order': async (t, compute) => {
    await expire(t, compute);
    const { claim, worker } = await nextOf(t, compute);
    await worker.report(claim, { outcome: 'failed', failure: { ...FAILED, message: 'It exited with 2.' } });
  },
  'its worker was started again': async (_t, compute, { worker }) =>
    void (await TestWorker.register(compute.api, worker.id)),
  'its order was cancelled': async (_t, compute, { claim }) => await cancel(compute, claim),
  'its order was cancelled and is tried again': async (_t, compute, { claim }) => {
    await cancel(compute, claim);
    await compute.api.retryOrder({ params: { id: claim.order } });
  },
  'it was given back': async (_t, _compute, { worker, claim }) =>
    void (await worker.report(claim, { outcome: 'released' })),
};

/** What a worker may still say of an attempt; `renew` is answered with what was lost, all else is refused. */
const CALLS = {
  done: reporting(({ claim }) => ({ outcome: 'done', result: resultOf(claim) })),
  failed: reporting(() => ({ outcome: 'failed', failure: FAILED })),
  error: reporting(() => ({ outcome: 'error', failure: BROKEN })),
  released: reporting(() => ({ outcome: 'released' })),
  'step started': async (api, { claim }) =>
    await api.noteStep({ params: paramsOf(claim), body: { what: 'started', step: 'train' } }),
  'step ended': async (api, { claim }) => {
    const record = { step: 'train', seconds: 1 } as const;
    await api.noteStep({ params: paramsOf(claim), body: { what: 'ended', record } });
  },
  events: async (api, { claim }) => {
    const events = [
      { what: 'started', seq: 100, step: 'train' } as const,
      { what: 'log', seq: 101, step: 'train', stream: 'stdout', text: 'late' } as const,
    ];
    await api.noteEvents({ params: paramsOf(claim), body: { events } });
  },
  log: async (api, { claim }) =>
    await api.appendLog({
      params: paramsOf(claim),
      body: { chunks: [{ seq: 7, step: 'train', stream: 'stdout', text: 'late' }] },
    }),
} as const satisfies Readonly<Record<string, LateCall>>;

for (const [end, bringAbout] of Object.entries(ENDS)) {
  testOnEngines(`No late call of an attempt changes anything once ${end}`, async (t, openTestCompute) => {
    await using compute = await openTestCompute({ leaseMs: 600_000 });
    const worker = await compute.worker();
    await compute.api.learn({ body: aLearnuplet() });
    const dead = { worker, claim: await worker.mustClaim() };
    await CALLS.log(compute.api, dead);
    await bringAbout(t, compute, dead);
    await settle(t, compute);
    const before = await dumpTables(compute.database);
    for (const [name, call] of Object.entries(CALLS)) {
      // The last word of the attempt itself may be said again.
      if (end === 'it was given back' && name === 'released') {
        await t.notThrowsAsync(call(compute.api, dead));
      } else await t.throwsAsync(call(compute.api, dead), { code: 'stale_attempt' }, name);
      t.deepEqual(await dumpTables(compute.database), before, name);
    }
    await renewsNothing(t, compute, dead, end);
  });
}

testOnEngines('What is done to an order that has ended changes nothing', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ leaseMs: 600_000 });
  const worker = await compute.worker();
  const orders: Record<string, string> = {};
  for (const status of ['done', 'failed', 'cancelled'] as const) {
    const body = aLearnuplet();
    orders[status] = body.uuid;
    await compute.api.learn({ body });
    const claim = await worker.mustClaim();
    if (status === 'done') await worker.finish(claim);
    else if (status === 'failed') await worker.fail(claim);
    else await cancel(compute, claim);
  }
  await settle(t, compute);
  const before = await dumpTables(compute.database);
  const { done = '', failed = '', cancelled = '' } = orders;
  const call = (id: string) => ({ params: { id } });
  for (const id of [done, failed])
    await t.throwsAsync(compute.api.cancelOrder(call(id)), { code: 'wrong_state' });
  await t.throwsAsync(compute.api.retryOrder(call(done)), { code: 'wrong_state' });
  t.is((await compute.api.cancelOrder(call(cancelled))).status, 'cancelled');
  t.deepEqual(await dumpTables(compute.database), before);
});

testOnEngines('What waits, is due or runs cannot be tried again', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ leaseMs: 600_000 });
  const [running, due] = [aLearnuplet(), aLearnuplet()];
  const waiting = aLearnuplet({ rank: 1, model_start: due.model_end });
  for (const body of [running, due, waiting]) await compute.api.learn({ body });
  await (await compute.worker()).mustClaim();
  await settle(t, compute);
  const before = await dumpTables(compute.database);
  for (const { uuid: id } of [running, due, waiting])
    await t.throwsAsync(compute.api.retryOrder({ params: { id } }), { code: 'wrong_state' });
  t.deepEqual(await dumpTables(compute.database), before);
});

function reporting(report: (dead: Dead) => Report) {
  return async (_api: Api<ComputeContract>, dead: Dead) => await dead.worker.report(dead.claim, report(dead));
}

function paramsOf({ order: id, attempt }: Claim) {
  return { id, attempt };
}

type LateCall = (api: Api<ComputeContract>, dead: Dead) => Promise<unknown>;

/** Has the lease run out, and waits until the order was taken back. */
async function expire(t: ExecutionContext, compute: TestCompute): Promise<void> {
  const { database } = compute;
  await database.write(async (tx) => await tx.updateTable('orders').set({ lease_until: 1 }).execute());
  await eventually(t, async (t) => t.is((await theOrder(compute)).status, 'todo'));
}

/** Has another worker take the order. */
async function nextOf(t: ExecutionContext, compute: TestCompute): Promise<Dead> {
  const worker = await compute.worker();
  await eventually(t, async (t) => t.is((await theOrder(compute)).status, 'todo'));
  for (;;) {
    const claim = await worker.claim();
    if (claim !== null) return { worker, claim };
  }
}

async function theOrder({ api }: TestCompute): Promise<OrderView> {
  const { items } = await api.listOrders({ query: {} });
  return await api.getOrder({ params: { id: items[0]?.id ?? '' } });
}

async function cancel({ api }: TestCompute, { order }: Claim): Promise<void> {
  await api.cancelOrder({ params: { id: order } });
}

/** Waits until nothing changes by itself any more: effects have happened, and nobody is woken for what is due. */
async function settle(t: ExecutionContext, { database }: TestCompute): Promise<void> {
  await eventually(t, async (t) =>
    t.deepEqual(await database.read.selectFrom('outbox').selectAll().execute(), []),
  );
  await database.write(async (tx) => await tx.updateTable('orders').set({ publish_after: null }).execute());
}

/** A renewal tells what is lost. That the worker lives is the one thing that it writes down, where the worker does. */
async function renewsNothing(
  t: ExecutionContext,
  { api, database }: TestCompute,
  { worker, claim }: Dead,
  end: string,
): Promise<void> {
  const { order, attempt } = claim;
  const before = await dumpTables(database, ['workers.seen_at']);
  const renewal = api.renewLeases({
    params: { worker: worker.id },
    body: { boot: worker.boot, attempts: [{ order, attempt }] },
  });
  if (end === 'its worker was started again') await t.throwsAsync(renewal, { code: 'stale_attempt' });
  else {
    const reason = end === 'its order was cancelled' ? 'cancelled' : 'stale';
    t.like(await renewal, { held: [], lost: [{ order, attempt, reason }] });
  }
  t.deepEqual(await dumpTables(database, ['workers.seen_at']), before);
}
