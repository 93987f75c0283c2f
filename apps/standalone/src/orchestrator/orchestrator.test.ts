import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlreadyApplied, orchestratorClient } from '@morpheo/client';
import { type Api, type ComputeContract, computeContract, PlatformError } from '@morpheo/common';
import { createHttpApp, credentials, hashSecret, listen } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openOrchestrator } from './service.ts';

const CALLER = { name: 'worker', secret: 'a secret of a test' } as const;
const SCORES = { train_perf: { a: 0.9 }, test_perf: { b: 0.8 } };

interface Posted {
  readonly uuid: string;
  readonly rank: number;
  readonly model_start: string;
  readonly model_end: string;
}

/** An orchestrator over HTTP, and a compute-api that keeps what it is posted; `refuse` makes it refuse. */
async function open() {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-orchestrator-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  const learn: Posted[] = [];
  const pred: Record<string, unknown>[] = [];
  const state: { refuse?: PlatformError } = {};
  const take = <T>(list: T[]) => {
    return async ({ body }: { body: T }) => {
      if (state.refuse !== undefined) throw state.refuse;
      list.push(body);
      return { message: 'taken' };
    };
  };
  const api = { learn: take(learn), pred: take(pred) } as unknown as Api<ComputeContract>;
  const common = { checks: {}, anonymousIntake: true, log: silentLog };
  const app = createHttpApp({
    contract: computeContract,
    api,
    info: { name: 'x', version: '0' },
    authenticate: null,
    ...common,
  });
  const compute = stack.use(await listen(app, { host: '127.0.0.1', port: 0, log: silentLog }));
  const entry = {
    name: CALLER.name,
    roles: ['admin' as const],
    secretHash: await hashSecret(CALLER.secret, { isRandom: true }),
  };
  const service = stack.use(
    await openOrchestrator({
      host: '127.0.0.1',
      port: 0,
      databaseFile: join(folder, 'orchestrator.db'),
      compute: () => ({ url: compute.url, credentials: CALLER }),
      authenticate: credentials([entry]),
      everyMs: 20,
      version: '0',
      log: silentLog,
    }),
  );
  const opened = stack.move();
  const client = orchestratorClient({ url: service.url, credentials: CALLER });
  return {
    url: service.url,
    client,
    learn,
    pred,
    state,
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** A problem with three training sets of which each is a batch, and an algorithm of it. */
async function withAlgo({ client }: Awaited<ReturnType<typeof open>>) {
  const [problem, algo, workflow] = [randomUUID(), randomUUID(), randomUUID()];
  const [test_dataset, training] = [[randomUUID()], [randomUUID(), randomUUID(), randomUUID()]];
  await client.postProblem({ body: { uuid: problem, workflow, test_dataset, size_train_dataset: 1 } });
  await client.postData({ body: { uuid: [...training, ...test_dataset], problems: [problem] } });
  const made = await client.postAlgo({ body: { uuid: algo, name: 'one', problem } });
  return { problem, algo, training, made };
}

async function done({ client }: Awaited<ReturnType<typeof open>>, uuid: string, perf: number): Promise<void> {
  await client.learnDone({ params: { uuid }, body: { status: 'done', perf, ...SCORES } });
}

test('An algorithm is trained rank by rank, each from the best model so far', async (t) => {
  await using orchestrator = await open();
  const { algo, made } = await withAlgo(orchestrator);
  t.is(made.new_learnuplets, 3);
  await eventually(t, (t) => t.is(orchestrator.learn.length, 1));
  const [first] = orchestrator.learn;
  t.like(first, { rank: 0, algo, model_start: algo });
  await done(orchestrator, first?.uuid ?? '', 0.8);
  await eventually(t, (t) => t.is(orchestrator.learn.length, 2));
  const [, second] = orchestrator.learn;
  t.like(second, { rank: 1, model_start: first?.model_end });
  await done(orchestrator, second?.uuid ?? '', 0.6);
  await eventually(t, (t) => t.is(orchestrator.learn.length, 3));
  t.like(orchestrator.learn[2], { rank: 2, model_start: first?.model_end });
});

test('A failed rank stops the chain, and may be done later', async (t) => {
  await using orchestrator = await open();
  await withAlgo(orchestrator);
  await eventually(t, (t) => t.is(orchestrator.learn.length, 1));
  const uuid = orchestrator.learn[0]?.uuid ?? '';
  await orchestrator.client.learnDone({ params: { uuid }, body: { status: 'failed' } });
  t.is(orchestrator.learn.length, 1);
  await done(orchestrator, uuid, 0.5);
  await eventually(t, (t) => t.is(orchestrator.learn.length, 2));
});

test('A callback that changes nothing is refused in the words of the original', async (t) => {
  await using orchestrator = await open();
  await withAlgo(orchestrator);
  await eventually(t, (t) => t.is(orchestrator.learn.length, 1));
  const uuid = orchestrator.learn[0]?.uuid ?? '';
  const taken = { params: { type: 'learnuplet' as const, uuid }, body: { worker: randomUUID() } };
  await orchestrator.client.setWorker(taken);
  const again = await t.throwsAsync(orchestrator.client.setWorker(taken));
  t.is(again?.message, `worker not set for learnuplet ${uuid}. Might be already pending`);
  t.true(isAlreadyApplied(again));
  await done(orchestrator, uuid, 0.5);
  const twice = await t.throwsAsync(done(orchestrator, uuid, 0.5));
  t.is(twice?.message, `no update of learnuplet ${uuid}`);
  t.true(isAlreadyApplied(twice));
});

test('What is not answered is posted again until it is', async (t) => {
  await using orchestrator = await open();
  orchestrator.state.refuse = new PlatformError('unavailable', 'not now');
  await withAlgo(orchestrator);
  const { learnuplets = [] } = await orchestrator.client.list({
    params: { collection: 'learnuplet' },
    query: {},
  });
  t.is(learnuplets.length, 3);
  t.is(orchestrator.learn.length, 0);
  delete orchestrator.state.refuse;
  await eventually(t, (t) => t.is(orchestrator.learn.length, 1));
});

test('A prediction is ordered with the best model of the problem', async (t) => {
  await using orchestrator = await open();
  const { problem } = await withAlgo(orchestrator);
  const data = randomUUID();
  const early = orchestrator.client.postPrediction({ body: { data, problem } });
  await t.throwsAsync(early, { message: 'no problem or trained model' });
  await eventually(t, (t) => t.is(orchestrator.learn.length, 1));
  const [first] = orchestrator.learn;
  await done(orchestrator, first?.uuid ?? '', 0.9);
  const preduplet = await orchestrator.client.postPrediction({ body: { data, problem } });
  t.like(preduplet, { model: first?.model_end, data, status: 'todo' });
  await eventually(t, (t) => t.like(orchestrator.pred[0], { uuid: preduplet.uuid, model: first?.model_end }));
  const uuid = String(preduplet.uuid);
  const prediction = randomUUID();
  await orchestrator.client.predDone({
    params: { uuid },
    body: { status: 'done', prediction_storage_uuid: prediction },
  });
  t.like(await orchestrator.client.get({ params: { collection: 'preduplet', uuid } }), {
    prediction_storage_uuid: prediction,
  });
});

test('New data carry on a chain that has ended', async (t) => {
  await using orchestrator = await open();
  const { problem } = await withAlgo(orchestrator);
  for (let rank = 0; rank < 3; rank++) {
    await eventually(t, (t) => t.is(orchestrator.learn.length, rank + 1));
    await done(orchestrator, orchestrator.learn[rank]?.uuid ?? '', rank / 10);
  }
  const more = await orchestrator.client.postData({ body: { uuid: randomUUID(), problems: [problem] } });
  t.is(more.new_learnuplets, 1);
  await eventually(t, (t) => t.is(orchestrator.learn.length, 4));
  t.like(orchestrator.learn[3], { rank: 3, model_start: orchestrator.learn[2]?.model_end });
});

test('What is refused says so under the key of the original', async (t) => {
  await using orchestrator = await open();
  const post = async (path: string, body: unknown) => {
    const headers = {
      authorization: `Basic ${btoa(`${CALLER.name}:${CALLER.secret}`)}`,
      'content-type': 'application/json',
    };
    return await fetch(`${orchestrator.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  };
  const algo = await post('/algo', { uuid: randomUUID(), name: 'x', problem: randomUUID() });
  t.is(algo.status, 400);
  t.like(await algo.json(), { Error: 'non-existing related problem' });
  t.is((await post('/learndone/x', { status: 'odd' })).status, 400);
  t.is((await fetch(`${orchestrator.url}/learnuplet`)).status, 401);
  t.is((await post('/worker/elephant/x', { worker: 'x' })).status, 404);
});
