import { randomUUID } from 'node:crypto';
import { type Claim, PlatformError } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import { sql } from 'kysely';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet } from '../testing/orders.ts';
import { TestWorker } from '../testing/test-worker.ts';

async function claimed(compute: TestCompute) {
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  return { worker, claim: await worker.mustClaim() };
}

async function untilClaimed(t: ExecutionContext, worker: TestWorker) {
  let claim: Claim | null = null;
  await eventually(t, async (t) => {
    claim = await worker.claim();
    t.not(claim, null);
  });
  return claim ?? (await worker.mustClaim());
}

async function orderRow({ database }: TestCompute, id: string) {
  return await database.read.selectFrom('orders').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
}

testOnEngines('A worker that starts again resumes the attempt that it names', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ leaseMs: 600_000 });
  const { worker, claim } = await claimed(compute);
  await sql`update orders set lease_until = lease_until - 20000`.execute(compute.database.read);
  const before = await orderRow(compute, claim.order);
  const [resumed] = await worker.restart([claim]);
  t.deepEqual(resumed, { ...claim, log_seq: 0 });
  const after = await orderRow(compute, claim.order);
  t.like(after, { attempt: 1, boot: worker.boot, status: 'pending' });
  t.true(Number(after.lease_until) > Number(before.lease_until) + 10_000, 'the lease was renewed');
  const { attempts } = await compute.api.getOrder({ params: { id: claim.order } });
  t.is(attempts.length, 1);
  t.is(await worker.finish(claim), 'pending');
});

testOnEngines(
  'An attempt that a worker does not resume is taken back, and its old process is refused',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { worker, claim } = await claimed(compute);
    await compute.api.learn({ body: aLearnuplet() });
    const other = await worker.mustClaim();
    const { boot: old } = worker;
    const resumed = await worker.restart([other]);
    t.deepEqual(
      resumed.map(({ order }) => order),
      [other.order],
    );
    await t.throwsAsync(worker.finish(claim), { code: 'stale_attempt' });
    const dead = new TestWorker(compute.api, worker.id);
    dead.boot = old;
    await t.throwsAsync(dead.claim(), { code: 'stale_attempt' });
    const renewal = { params: { worker: worker.id }, body: { boot: old, attempts: [] } };
    await t.throwsAsync(compute.api.renewLeases(renewal), { code: 'stale_attempt' });
  },
);

testOnEngines('Only an attempt that is still the worker’s own stays with it', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { worker, claim } = await claimed(compute);
  const stranger = await compute.worker();
  t.deepEqual(await stranger.restart([claim]), [], 'another worker’s');
  t.deepEqual(await worker.restart([{ ...claim, attempt: 2 }]), [], 'another attempt');
  await t.throwsAsync(worker.finish(claim), { code: 'stale_attempt' });
  t.deepEqual(await worker.restart([claim]), [], 'taken back');
  t.deepEqual(await worker.restart([{ order: randomUUID(), attempt: 1 }]), [], 'no order');
  const next = await untilClaimed(t, worker);
  await compute.api.cancelOrder({ params: { id: next.order } });
  t.deepEqual(await worker.restart([next]), [], 'cancelled');
});

testOnEngines('A registration whose answer was lost is answered again', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { worker, claim } = await claimed(compute);
  const first = await worker.restart([claim]);
  t.deepEqual(await worker.registerAgain([claim]), first);
  const { database } = compute;
  const notes = await database.read
    .selectFrom('events')
    .select('what')
    .where('what', '=', 'resumed')
    .execute();
  t.is(notes.length, 1);
});

testOnEngines('The log goes on after what the dead process sent', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { worker, claim } = await claimed(compute);
  const params = { id: claim.order, attempt: 1 };
  const chunk = { step: 'train' as const, stream: 'stdout' as const };
  await compute.api.appendLog({
    params,
    body: { chunks: [0, 1, 2].map((seq) => ({ ...chunk, seq, text: 'x' })) },
  });
  const [resumed] = await worker.restart([claim]);
  t.is(resumed?.log_seq, 3);
});

testOnEngines(
  'A worker that has moved takes nothing over until its earlier process has been silent for a lease',
  async (t, openTestCompute) => {
    const leaseMs = 600_000;
    await using compute = await openTestCompute({ leaseMs });
    const { worker, claim } = await claimed(compute);
    const wait = async (ms: number) =>
      await sql`update workers set seen_at = seen_at - ${ms}`.execute(compute.database.read);
    await wait(1000);
    const copy = { boot: randomUUID(), name: 'copy', runtime: 'none', slots: { learn: 1, predict: 1 } };
    const params = { worker: worker.id };
    const register = async () => await compute.api.registerWorker({ params, body: { ...copy, moved: true } });
    const first = await t.throwsAsync(register(), { instanceOf: PlatformError, code: 'conflict' });
    const again = await t.throwsAsync(register(), { instanceOf: PlatformError, code: 'conflict' });
    t.deepEqual(again?.details, first?.details);
    await compute.api.renewLeases({ params, body: { boot: worker.boot, attempts: [claim] } });
    const second = await t.throwsAsync(register(), { instanceOf: PlatformError, code: 'conflict' });
    t.not(second?.details.seen_at, first?.details.seen_at, 'the earlier process lives');
    t.is(await worker.finish(claim), 'pending');
    await wait(leaseMs);
    await t.notThrowsAsync(register());
    await t.notThrowsAsync(register(), 'the answer was lost');
    await t.throwsAsync(worker.claim(), { code: 'stale_attempt' });
  },
);
