import { randomUUID } from 'node:crypto';
import { computeClient } from '@morpheo/client';
import { type ForeignComputeContract, type Input, type OrderStatus, PlatformError } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import { COMPUTE_DEFAULTS } from '../config.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { away, openTestCompute, type TestCompute } from '../testing/open-test-compute.ts';
import { openTestService } from '../testing/open-test-service.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';

const NIL = '00000000-0000-0000-0000-000000000000';
/** Longer than any test: an attempt is lost here when its lease is set to have run out. */
const SETTINGS = { foreignWorkers: { timeoutMs: 3_600_000 } };

/** A message as a worker of the original reads it. */
interface Message {
  readonly uuid: string;
  readonly model_end?: string;
  readonly train_data?: readonly string[];
  readonly test_data?: readonly string[];
}

/** The next message of the queue, which nobody else gets. */
async function receive(t: ExecutionContext, { published }: TestCompute): Promise<Message> {
  await eventually(t, (again) => again.not(published.length, 0));
  return JSON.parse(published.shift()?.message ?? '') as Message;
}

const type = ({ model_end }: Message) => (model_end === undefined ? 'preduplet' : 'learnuplet');

/** The calls of a worker of the original about its message. */
function workerOf({ foreign, stored }: TestCompute, message: Message) {
  if (foreign === undefined) throw new Error('orders are not for workers of the originals');
  const { uuid, model_end } = message;
  return {
    take: async () =>
      await foreign.setWorker({ params: { type: type(message), uuid }, body: { worker: NIL } }),
    store: () => void stored.add(model_end ?? uuid),
    done: async () => {
      const body = { status: 'done', prediction_storage_uuid: uuid } as const;
      if (model_end === undefined) return await foreign.predDone({ params: { uuid }, body });
      return await foreign.learnDone({ params: { uuid }, body: scoresOf(message) });
    },
    failed: async () => {
      const [call, body] = [{ params: { uuid } }, { status: 'failed' } as const];
      return await (model_end === undefined ? foreign.predDone : foreign.learnDone)({ ...call, body });
    },
  };
}

type LearnDone = Input<ForeignComputeContract['endpoints']['learnDone']>['body'];

function scoresOf({ train_data = [], test_data = [] }: Message): LearnDone {
  const scores = (ids: readonly string[]) => Object.fromEntries(ids.map((id) => [id, 0.5]));
  return { status: 'done', perf: 0.5, train_perf: scores(train_data), test_perf: scores(test_data) };
}

async function statusIs(
  t: ExecutionContext,
  { api }: TestCompute,
  id: string,
  status: OrderStatus,
): Promise<void> {
  await eventually(t, async (again) => again.is((await api.getOrder({ params: { id } })).status, status));
}

/** The time-out of what runs is over. */
async function loseAll({ database }: TestCompute): Promise<void> {
  await database.write(
    async (tx) =>
      await tx.updateTable('orders').set({ lease_until: 1 }).where('lease_until', 'is not', null).execute(),
  );
}

const told = ({ calls }: TestCompute, id: string) => calls.filter((call) => call.includes(`done ${id}`));

testOnEngines(
  'A foreign worker takes an order from the queue, and ends it by its report',
  async (t, open) => {
    await using compute = await open(SETTINGS);
    const body = aLearnuplet();
    await compute.api.learn({ body });
    const message = await receive(t, compute);
    t.like(message, { uuid: body.uuid, algo: body.algo, train_data: body.train_data, worker: NIL });
    t.true(compute.checks.asked.flat().every(({ keep_id }) => keep_id === false));
    const worker = workerOf(compute, message);
    t.deepEqual(await worker.take(), { learnuplet_worker_set: body.uuid });
    t.is((await compute.api.getOrder({ params: { id: body.uuid } })).status, 'pending');
    const { lease_until } = await compute.database.read
      .selectFrom('orders')
      .selectAll()
      .executeTakeFirstOrThrow();
    const leftMs = Number(lease_until) - Date.now();
    t.true(leftMs > 3_000_000 && leftMs <= 3_600_000, 'it has the time that the operator gives such workers');
    worker.store();
    t.deepEqual(await worker.done(), { updated_learnuplet: body.uuid });
    await statusIs(t, compute, body.uuid, 'done');
    const { attempts, result } = await compute.api.getOrder({ params: { id: body.uuid } });
    t.like(attempts, [{ attempt: 1, outcome: 'done' }]);
    t.like(result, { uuid: body.model_end, performance: { perf: 0.5 } });
    await eventually(t, (again) => again.is(told(compute, body.uuid).length, 1));
    t.regex(told(compute, body.uuid)[0] ?? '', /^learndone .*"status":"done"/);
    t.true(compute.calls.some((call) => call.startsWith(`taken learnuplet ${body.uuid} `)));
    await eventually(t, (again) => again.true(compute.calls.includes(`discard ${body.uuid}`)));
  },
);

test('An order that the broker has is not published again by itself', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  const body = aLearnuplet();
  await compute.api.learn({ body });
  await receive(t, compute);
  await eventually(t, async (again) => {
    const row = await compute.database.read.selectFrom('orders').selectAll().executeTakeFirstOrThrow();
    again.like(row, { status: 'todo', publishes: 1, publish_after: null });
  });
  const why = await compute.api.whyOrder({ params: { id: body.uuid } });
  t.regex(why.sentence, /^It is on the queue/);
});

test('A prediction is known by the id that its worker gave it', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  const body = aPreduplet();
  await compute.api.pred({ body });
  const worker = workerOf(compute, await receive(t, compute));
  t.deepEqual(await worker.take(), { preduplet_worker_set: body.uuid });
  worker.store();
  t.deepEqual(await worker.done(), { updated_preduplet: body.uuid });
  await statusIs(t, compute, body.uuid, 'done');
  const done = `preddone ${body.uuid} {"status":"done","prediction_storage_uuid":"${body.uuid}"}`;
  await eventually(t, (again) => again.deepEqual(told(compute, body.uuid), [done]));
});

testOnEngines('What is said twice is refused as the original orchestrator refuses it', async (t, open) => {
  await using compute = await open(SETTINGS);
  const { uuid } = aLearnuplet();
  await compute.api.learn({ body: aLearnuplet({ uuid }) });
  const worker = workerOf(compute, await receive(t, compute));
  await worker.take();
  await t.throwsAsync(worker.take(), {
    code: 'invalid_request',
    message: `worker not set for learnuplet ${uuid}. Might be already pending`,
  });
  worker.store();
  await worker.done();
  const again = { code: 'invalid_request', message: /^no update of learnuplet / };
  await t.throwsAsync(worker.done(), again);
  await t.throwsAsync(worker.failed(), again);
  await statusIs(t, compute, uuid, 'done');
  await t.throwsAsync(worker.failed(), again);
  await t.throwsAsync(worker.take(), { message: /Might be already pending/ });
  await eventually(t, (later) => later.is(told(compute, uuid).length, 1));
});

testOnEngines(
  'The order of a worker that died is published again, and its late report changes nothing',
  async (t, open) => {
    await using compute = await open(SETTINGS);
    const { uuid: id } = aLearnuplet();
    await compute.api.learn({ body: aLearnuplet({ uuid: id }) });
    const first = workerOf(compute, await receive(t, compute));
    await first.take();
    await loseAll(compute);
    const message = await receive(t, compute);
    t.not(message.uuid, id);
    await t.throwsAsync(first.failed(), { message: /^no update/ });
    const second = workerOf(compute, message);
    await second.take();
    await t.throwsAsync(first.failed(), { message: /^no update/ });
    await t.throwsAsync(first.done(), { message: /^no update/ });
    second.store();
    await second.done();
    await statusIs(t, compute, id, 'done');
    const { attempts } = await compute.api.getOrder({ params: { id } });
    t.like(attempts, [{ outcome: 'lost' }, { outcome: 'done' }]);
    t.like(attempts[0]?.failure, { reason: 'worker_lost' });
    t.regex(String(attempts[0]?.failure?.message), /it did not report in time/);
    await eventually(t, (again) => again.is(told(compute, id).length, 1));
  },
);

test('A worker whose first call was lost ends its order all the same', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  const { uuid: id } = aPreduplet();
  await compute.api.pred({ body: aPreduplet({ uuid: id }) });
  const worker = workerOf(compute, await receive(t, compute));
  worker.store();
  await worker.done();
  await statusIs(t, compute, id, 'done');
});

test('An order whose worker reports that it failed has failed, and is published again when it is retried', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  const { uuid: id } = aLearnuplet();
  await compute.api.learn({ body: aLearnuplet({ uuid: id }) });
  const first = workerOf(compute, await receive(t, compute));
  await first.take();
  await first.failed();
  const { status, failure } = await compute.api.getOrder({ params: { id } });
  t.is(status, 'failed');
  t.like(failure, { reason: 'internal' });
  await eventually(t, (again) => again.deepEqual(told(compute, id), [`learndone ${id} {"status":"failed"}`]));
  await compute.api.retryOrder({ params: { id } });
  const second = workerOf(compute, await receive(t, compute));
  await t.throwsAsync(first.take(), { message: /Might be already pending/ });
  await second.take();
  second.store();
  await second.done();
  await statusIs(t, compute, id, 'done');
});

test('Without a result at storage no order is done, whatever its worker says', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  const { uuid: id } = aLearnuplet();
  await compute.api.learn({ body: aLearnuplet({ uuid: id }) });
  const worker = workerOf(compute, await receive(t, compute));
  await worker.take();
  await worker.done();
  await statusIs(t, compute, id, 'failed');
  const { failure } = await compute.api.getOrder({ params: { id } });
  t.is(failure?.reason, 'invalid_result');
  await eventually(t, (again) => again.deepEqual(told(compute, id), [`learndone ${id} {"status":"failed"}`]));
});

test('While storage is away an order whose worker is done waits for it', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  const { uuid: id } = aLearnuplet();
  await compute.api.learn({ body: aLearnuplet({ uuid: id }) });
  const worker = workerOf(compute, await receive(t, compute));
  await worker.take();
  worker.store();
  compute.broken.storage = away();
  await worker.done();
  const failing = compute.database.read.selectFrom('outbox').selectAll().where('tries', '>', 0);
  await eventually(t, async (again) => again.is((await failing.execute()).length, 1));
  t.is((await compute.api.whyOrder({ params: { id } })).code, 'publishing');
  delete compute.broken.storage;
  await statusIs(t, compute, id, 'done');
});

test('A cancelled order stays so, whatever its worker reports', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  const { uuid: id } = aLearnuplet();
  await compute.api.learn({ body: aLearnuplet({ uuid: id }) });
  const worker = workerOf(compute, await receive(t, compute));
  await worker.take();
  await compute.api.cancelOrder({ params: { id } });
  await t.throwsAsync(worker.done(), { message: /^no update/ });
  t.is((await compute.api.getOrder({ params: { id } })).status, 'cancelled');
});

test('While the queue is paused nothing is published', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  await compute.api.pauseQueue({ body: { paused: true } });
  const { uuid: id } = aLearnuplet();
  await compute.api.learn({ body: aLearnuplet({ uuid: id }) });
  t.is((await compute.api.whyOrder({ params: { id } })).code, 'paused');
  t.deepEqual(compute.published, []);
  await compute.api.pauseQueue({ body: { paused: false } });
  t.is((await receive(t, compute)).uuid, id);
});

test('What no foreign worker could run is refused', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  const train_data = Array.from({ length: 30_000 }, () => randomUUID());
  const large = compute.api.learn({ body: aLearnuplet({ train_data }) });
  await t.throwsAsync(large, { code: 'too_large', message: /name fewer data sets/ });
  const gpus = compute.api.learn({ body: aLearnuplet({ gpus: 1 }) });
  await t.throwsAsync(gpus, { code: 'invalid_order', message: /asks for GPUs/ });
  const { uuid: id, problem } = aLearnuplet();
  await compute.api.setProblemDefaults({ params: { problem }, body: { gpus: 2 } });
  await compute.api.learn({ body: aLearnuplet({ uuid: id, problem }) });
  await statusIs(t, compute, id, 'failed');
  t.deepEqual(compute.published, []);
});

test('An order whose problem has canaries is not given to a foreign worker', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  compute.checks.canaries = ['a secret of the problem'];
  const { uuid: id } = aLearnuplet();
  await compute.api.learn({ body: aLearnuplet({ uuid: id }) });
  await statusIs(t, compute, id, 'failed');
  const { failure } = await compute.api.getOrder({ params: { id } });
  t.is(failure?.reason, 'forbidden');
  t.deepEqual(compute.published, []);
});

test('Where orders are for foreign workers, ours get none', async (t) => {
  await using compute = await openTestCompute(SETTINGS);
  await t.throwsAsync(compute.worker(), { code: 'wrong_state', message: /without --foreign-workers/ });
});

test('The calls of foreign workers are there only where orders are for them', async (t) => {
  const call = async (url: string) =>
    await fetch(`${url}/learndone/${randomUUID()}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"status":"failed"}',
    });
  await using without = await openTestService();
  t.is((await call(without.url)).status, 404);
  const settings = { ...COMPUTE_DEFAULTS, ...SETTINGS };
  await using closed = await openTestService(true, { settings });
  t.is((await call(closed.url)).status, 401);
  await using open = await openTestService(true, { settings, callers: null });
  const answer = await call(open.url);
  t.is(answer.status, 400);
  t.regex(((await answer.json()) as { error: string }).error, /^no update of learnuplet /);
  const ours = computeClient({ url: open.url });
  t.is((await ours.listOrders({ query: {} })).total, 0);
});

test('Of a hundred orders none is lost and none is done twice, whatever foreign workers do', async (t) => {
  // Enough for whatever order dies again and again, as the turns of its workers fall.
  await using compute = await openTestCompute({ ...SETTINGS, attempts: 100 });
  const ids: string[] = [];
  for (let n = 0; n < 100; n += 1) {
    const body = { uuid: randomUUID() };
    ids.push(body.uuid);
    if (n % 3 === 0) await compute.api.pred({ body: aPreduplet(body) });
    else await compute.api.learn({ body: aLearnuplet(body) });
  }
  const ended = async () => (await compute.api.getQueue({})).counts;
  let handled = 0;
  for (let counts = await ended(); (counts.done ?? 0) < ids.length; counts = await ended()) {
    const batch = compute.published.splice(0);
    await Promise.all(
      batch.map(async ({ message }) => {
        const n = handled++;
        await behave(compute, JSON.parse(message) as Message, n);
      }),
    );
    if (batch.length === 0) await loseAll(compute);
    t.false((counts.failed ?? 0) > 0);
  }
  for (const id of ids) {
    const { status, attempts } = await compute.api.getOrder({ params: { id } });
    t.is(status, 'done');
    t.is(attempts.filter(({ outcome }) => outcome === 'done').length, 1);
  }
  await eventually(t, (again) => again.is(ids.filter((id) => told(compute, id).length === 1).length, 100));
  t.true(handled > 100, 'some had to be run again');
});

/** Every fifth worker dies, every third says all twice, every seventh never says that it begins. */
async function behave(compute: TestCompute, message: Message, n: number): Promise<void> {
  const worker = workerOf(compute, message);
  const refused = (error: unknown): void => {
    if (!(error instanceof PlatformError && error.code === 'invalid_request')) throw error;
  };
  if (n % 7 !== 0) await worker.take();
  if (n % 5 === 0) return n % 7 === 0 ? void (await worker.take()) : undefined;
  if (n % 3 === 0) await worker.take().catch(refused);
  worker.store();
  await worker.done();
  if (n % 3 === 0) await worker.done().catch(refused);
  if (n % 3 === 0) await worker.failed().catch(refused);
}
