import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient, orchestratorClient, storageClient } from '@morpheo/client';
import { type Learnuplet, learnuplet, type OrderView } from '@morpheo/common';
import { freePorts, randomFrom, sampleSize } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import type { Connection } from '../connection.ts';
import { uploadData, uploadProgram } from '../scenarios/uploads.ts';
import { KillablePlatform } from '../testing/killable-platform.ts';
import { processesOf } from '../testing/processes.ts';

/** Chains that the orchestrator starts rank by rank, and orders that are posted beside them. */
const PLAN = {
  algos: sampleSize('ALGOS', { small: 3, full: 8 }),
  ranks: sampleSize('RANKS', { small: 5, full: 10 }),
  posted: sampleSize('POSTED', { small: 12, full: 30 }),
  kills: sampleSize('KILLS', { small: 4, full: 15 }),
} as const;
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

test('Orders survive a platform that is killed at random moments', async (t) => {
  t.timeout(1_800_000);
  t.log(`SEED=${SEED} replays the moments of the kills`);
  const random = randomFrom(SEED).next;
  const home = await mkdtemp(join(tmpdir(), 'morpheo-killed-'));
  const [storage = 0, compute = 0, orchestrator = 0] = await freePorts(3);
  await using platform = new KillablePlatform(home, { storage, compute, orchestrator });
  const starts = [await platform.start()];
  await eventually(t, async (t) => await t.notThrowsAsync(connect(home)));
  const apis = await connect(home);
  const { workflow, test_data, ...chains } = await startChains(apis);
  const posting = postOrders(apis, { workflow, test_data, ...chains });

  for (let kill = 0; kill < PLAN.kills; kill++) {
    await new Promise((resolve) => setTimeout(resolve, 200 + random() * 1800));
    await platform.kill();
    starts.push(await platform.start());
  }
  const posted = await posting;
  await eventually(t, async (t) => await hasSettled(t, apis), 900_000);

  const orders = await allOrders(apis);
  t.is(orders.length, PLAN.algos * PLAN.ranks + PLAN.posted);
  for (const { uuid } of posted)
    t.true(
      orders.some((order) => order.id === uuid),
      `${uuid} was accepted and is there`,
    );
  for (const order of orders) await endedOnce(t, apis, order);
  await eachModelOnce(t, apis, orders);
  await orchestratorHeard(t, apis);
  t.log(
    `${orders.length} orders, ${PLAN.kills} kills, ${orders.filter((order) => order.attempt > 1).length} orders tried again`,
  );
  t.log(`ready again after ${Math.max(...starts.slice(1)).toFixed(0)} ms at most`);
  await eventually(t, async (t) => t.deepEqual(await readdir(join(home, 'worker', 'work')), []));

  t.is(await platform.kill('SIGTERM'), 0);
  t.deepEqual(await processesOf(home), []);
  await rm(home, { recursive: true });
});

type Apis = Awaited<ReturnType<typeof connect>>;

async function connect(home: string) {
  const connection = JSON.parse(await readFile(join(home, 'connection.json'), 'utf8')) as Connection;
  const { credentials } = connection;
  return {
    storage: storageClient({ url: connection.storage, credentials }),
    compute: computeClient({ url: connection.compute, credentials }),
    orchestrator: orchestratorClient({ url: connection.orchestrator, credentials }),
  };
}

/** Makes a problem, its data and its algorithms known, each through a call that is repeated until it is answered. */
async function startChains(apis: Apis) {
  const workflow = await uploadProgram(apis.storage, 'problem', 'problem-parity');
  const test_data = await uploadData(apis.storage);
  const data: string[] = [];
  for (let rank = 0; rank < PLAN.ranks; rank++)
    data.push(await uploadData(apis.storage, `${rank} ${rank % 2}\n`));
  const problem = randomUUID();
  await apis.orchestrator.postProblem({
    body: { uuid: problem, workflow, test_dataset: [test_data], size_train_dataset: 1 },
  });
  await apis.orchestrator.postData({ body: { uuid: data, problems: [problem] } });
  const algos: string[] = [];
  for (let algo = 0; algo < PLAN.algos; algo++) {
    const uuid = await uploadProgram(apis.storage, 'algo', 'algo-parity');
    await apis.orchestrator.postAlgo({ body: { uuid, name: `parity ${algo}`, problem } });
    algos.push(uuid);
  }
  return { workflow, test_data, problem, data, algos };
}

/** Posts orders as a client does that keeps asking until it has its 202. */
async function postOrders(
  apis: Apis,
  chains: Awaited<ReturnType<typeof startChains>>,
): Promise<Learnuplet[]> {
  const posted: Learnuplet[] = [];
  for (let order = 0; order < PLAN.posted; order++) {
    const body = learnuplet.parse({
      uuid: randomUUID(),
      problem: chains.problem,
      workflow: chains.workflow,
      algo: chains.algos[order % chains.algos.length],
      model_end: randomUUID(),
      train_data: [chains.data[order % chains.data.length]],
      test_data: [chains.test_data],
      status: 'todo',
    });
    await untilAnswered(async () => await apis.compute.learn({ body }));
    posted.push(body);
  }
  return posted;
}

async function untilAnswered(call: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await call();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function hasSettled(t: ExecutionContext, { compute, orchestrator }: Apis): Promise<void> {
  const { counts } = await compute.getQueue({});
  t.deepEqual(counts, { done: PLAN.algos * PLAN.ranks + PLAN.posted });
  const { learnuplets } = await orchestrator.list({ params: { collection: 'learnuplet' }, query: {} });
  t.true(learnuplets?.every((uplet) => uplet.status === 'done'));
}

async function allOrders({ compute }: Apis): Promise<OrderView[]> {
  const { items } = await compute.listOrders({ query: { limit: 200 } });
  return await Promise.all(items.map(async ({ id }) => await compute.getOrder({ params: { id } })));
}

async function endedOnce(t: ExecutionContext, { compute }: Apis, order: OrderView): Promise<void> {
  t.is(order.status, 'done');
  const events = await Array.fromAsync(await compute.orderEvents({ params: { id: order.id }, headers: {} }));
  const names = events.map((event) => event.event);
  t.is(names.filter((name) => name === 'done').length, 1, order.id);
  t.is(names.filter((name) => name === 'claimed').length, order.attempt, order.id);
  t.is(order.attempts.filter((attempt) => attempt.outcome === 'done').length, 1, order.id);
  t.is(order.attempts.filter((attempt) => attempt.outcome === undefined).length, 0, order.id);
}

async function eachModelOnce(
  t: ExecutionContext,
  { storage }: Apis,
  orders: readonly OrderView[],
): Promise<void> {
  const models = await storage.list({ params: { type: 'model' }, query: { limit: 200 } });
  t.is(models.total, orders.length);
  for (const order of orders) {
    const model = models.items.find(({ uuid }) => uuid === order.model_end);
    t.is(model?.sha256, order.result?.sha256, order.id);
  }
}

async function orchestratorHeard(t: ExecutionContext, { orchestrator }: Apis): Promise<void> {
  const { learnuplets = [] } = await orchestrator.list({ params: { collection: 'learnuplet' }, query: {} });
  t.is(learnuplets.length, PLAN.algos * PLAN.ranks);
  for (const uplet of learnuplets) t.like(uplet, { status: 'done', perf: 1 });
}
