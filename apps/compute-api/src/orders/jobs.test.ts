import { randomUUID } from 'node:crypto';
import { type Call, type Failure, type OrderStatus, PlatformError, type Role } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aJob, aLearnuplet } from '../testing/orders.ts';
import { resultOf, type TestWorker } from '../testing/test-worker.ts';

const SLOTS = { learn: 1, predict: 1, job: 1 };
const DOCKER = { runtime: 'docker' } as const;
const FAILURE: Failure = { reason: 'exit_code', message: 'It exited with 3.', exit_code: 3, step: 'job' };
const as = (name: string, role: Role = 'orchestrator', isPerson = true): Call => ({
  principal: { name, roles: [role], isPerson },
});

async function dockerWorker(compute: TestCompute): Promise<TestWorker> {
  return await compute.worker(SLOTS, 0, 1, DOCKER);
}

async function ends(
  t: ExecutionContext,
  { api }: TestCompute,
  id: string,
  status: OrderStatus,
): Promise<void> {
  await eventually(t, async (t) => t.is((await api.getOrder({ params: { id } })).status, status));
}

testOnEngines(
  'A job is checked, run and published, and the orchestrator hears nothing of it',
  async (t, open) => {
    await using compute = await open();
    const { api, calls, checks, published } = compute;
    const algo = randomUUID();
    const data = { type: 'data' as const, uuid: randomUUID() };
    const inputs = [
      { path: '/in/a', resource: data },
      { path: '/in/b', resource: data },
      { path: '/in/c', inline: 'e30=' },
    ];
    const { image: _, ...job } = aJob({
      image: undefined,
      algo,
      inputs,
      output: randomUUID(),
      labels: { run: '7' },
    });
    t.deepEqual(await api.postJob({ body: job }), { uuid: job.uuid, output: job.output });
    t.like(checks.asked.flat()[0], {
      ...{ order: job.uuid, kind: 'job', produces: { type: 'output', uuid: job.output } },
      uses: [
        { type: 'algo', uuid: algo, as: 'algo' },
        { ...data, as: 'input' },
      ],
    });
    const message = JSON.stringify({ uuid: job.uuid });
    await eventually(t, (t) => t.deepEqual(published, [{ topic: 'job', message }]));
    const worker = await compute.worker(SLOTS);
    const claim = await worker.mustClaim(0, ['job']);
    t.deepEqual(claim.spec, { kind: 'job', uplet: job });
    await worker.finish(claim);
    await ends(t, compute, job.uuid, 'done');
    const view = await api.getOrder({ params: { id: job.uuid } });
    t.like(view, { kind: 'job', problem: undefined, workflow: undefined, algo });
    t.like(view.result, { uuid: job.output });
    t.like(view.job, { command: ['run'], labels: { run: '7' }, output: job.output });
    t.deepEqual(view.job?.inputs[2], { path: '/in/c', inline_bytes: 2 });
    t.deepEqual(calls, [`publish ${job.uuid} 1`]);
  },
);

testOnEngines(
  'The same job again is the same order with the same output, and another body is refused',
  async (t, open) => {
    await using compute = await open();
    const { api } = compute;
    const job = aJob({ env: { B: '1', A: '2' } });
    const first = await api.postJob({ body: job });
    t.is(typeof first.output, 'string');
    t.deepEqual(await api.postJob({ body: job }), first);
    await t.throwsAsync(api.postJob({ body: { ...job, command: ['other'] } }), { code: 'conflict' });
    await t.throwsAsync(api.learn({ body: aLearnuplet({ uuid: job.uuid }) }), { code: 'conflict' });
    t.is((await api.listOrders({ query: { kind: 'job' } })).total, 1);
  },
);

testOnEngines('An image needs Docker, and no worker without slots for jobs gets any', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const job = aJob({ needs: { arch: 'amd64' } });
  await api.postJob({ body: job });
  const why = async () => await api.whyOrder({ params: { id: job.uuid } });
  await compute.worker();
  t.like(await why(), { code: 'no_worker' });
  const plain = await compute.worker(SLOTS, 0, 1, { runtime: 'process', arch: 'amd64' });
  t.is(await plain.claim(0, ['job']), null);
  t.like(await why(), { code: 'needs_docker' });
  t.deepEqual((await api.getOrder({ params: { id: job.uuid } })).needs, { runtime: 'docker', arch: 'amd64' });
  const docker = await compute.worker(SLOTS, 0, 1, { ...DOCKER, arch: 'amd64' });
  t.is((await docker.mustClaim(0, ['job'])).order, job.uuid);
});

testOnEngines('A job that is a call in a warm runner goes to a worker that keeps such', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const job = aJob({ warm: 'zeromq', inputs: [] });
  await api.postJob({ body: job });
  const claimOf = async (...warm: ('runner' | 'zeromq')[]) =>
    await (await compute.worker(SLOTS, 0, 1, { runtime: 'docker', warm })).claim(0, ['job']);
  t.is(await claimOf('runner'), null);
  const { code, sentence } = await api.whyOrder({ params: { id: job.uuid } });
  t.is(code, 'no_worker_offers');
  t.regex(sentence, /offers warm runners of Shepherd/);
  const claim = await claimOf('runner', 'zeromq');
  t.like(claim, { order: job.uuid, spec: { uplet: { warm: 'zeromq' } } });
  const view = await api.getOrder({ params: { id: job.uuid } });
  t.like(view, { job: { warm: 'zeromq' }, needs: { runtime: 'docker', warm: 'zeromq' } });
  t.deepEqual(
    (await api.listWorkers({})).items.map(({ warm, labels }) => ({ warm, labels })),
    [
      { warm: ['runner', 'zeromq'], labels: undefined },
      { warm: ['runner'], labels: undefined },
    ],
  );
});

testOnEngines('A job for a bare sheep goes to the worker that has that', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const sheep = { id: 'bare.1', name: 'ocr', version: '1' };
  const job = aJob({
    ...{ image: undefined, sheep, warm: 'zeromq', inputs: [], command: undefined, env: undefined },
    needs: { labels: { zone: 'a' } },
  });
  await api.postJob({ body: job });
  const claimOf = async (labels: Record<string, string>) =>
    await (await compute.worker(SLOTS, 0, 1, { runtime: 'process', warm: ['zeromq'], labels })).claim(0, [
      'job',
    ]);
  t.is(await claimOf({ zone: 'a', 'sheep.bare.2': 'bare' }), null);
  t.is(await claimOf({ zone: 'a', 'sheep.bare.1': 'docker' }), null);
  const claim = await claimOf({ zone: 'a', 'sheep.bare.1': 'bare' });
  t.like(claim, { order: job.uuid, spec: { uplet: { sheep } } });
  const view = await api.getOrder({ params: { id: job.uuid } });
  t.deepEqual(view.needs, { warm: 'zeromq', labels: { zone: 'a', 'sheep.bare.1': 'bare' } });
  t.deepEqual(view.job?.sheep, sheep);
});

testOnEngines('What a job had written is kept when it fails, until it is tried again', async (t, open) => {
  await using compute = await open();
  const { api, calls } = compute;
  const worker = await dockerWorker(compute);
  const job = aJob();
  await api.postJob({ body: job });
  const claim = await worker.mustClaim(0, ['job']);
  t.is(
    await worker.report(claim, { outcome: 'failed', failure: FAILURE, result: resultOf(claim) }),
    'pending',
  );
  await ends(t, compute, job.uuid, 'failed');
  const view = await api.getOrder({ params: { id: job.uuid } });
  t.like(view, { failure: FAILURE, attempts: [{ outcome: 'failed' }] });
  t.is(view.result?.uuid, view.job?.output);
  t.deepEqual(calls, [`publish ${job.uuid} 1 failed`]);
  compute.broken.storage = new PlatformError('in_use', 'Another order reads it.');
  await api.retryOrder({ params: { id: job.uuid } });
  t.is((await api.getOrder({ params: { id: job.uuid } })).result, undefined);
  await eventually(t, async (t) =>
    t.regex((await api.whyOrder({ params: { id: job.uuid } })).sentence, /left before is removed first/),
  );
  delete compute.broken.storage;
  const again = await worker.mustClaim(0, ['job']);
  t.deepEqual(calls.slice(1), [`remove ${job.uuid} 1`]);
  t.is(again.attempt, 2);
  await worker.finish(again);
  await ends(t, compute, job.uuid, 'done');
});

testOnEngines(
  'Where storage refuses what a failed job had written, the job fails as it did',
  async (t, open) => {
    await using compute = await open();
    const { api, calls, broken } = compute;
    const worker = await dockerWorker(compute);
    const job = aJob();
    await api.postJob({ body: job });
    const claim = await worker.mustClaim(0, ['job']);
    broken.publish = new PlatformError('conflict', 'taken');
    await worker.report(claim, { outcome: 'failed', failure: FAILURE, result: resultOf(claim) });
    await ends(t, compute, job.uuid, 'failed');
    const { failure, result } = await api.getOrder({ params: { id: job.uuid } });
    t.like(failure, { reason: 'exit_code', exit_code: 3 });
    t.regex(failure?.message ?? '', /^It exited with 3\. Storage refused to publish the result: taken/);
    t.is(result, undefined);
    await eventually(t, (t) => t.deepEqual(calls, [`discard ${job.uuid}`]));
  },
);

testOnEngines(
  'A job whose outputs go to a bucket alone publishes nothing, and lets go of what was held',
  async (t, open) => {
    await using compute = await open();
    const { api, calls } = compute;
    const worker = await dockerWorker(compute);
    const outputs = { storage: false, bucket: { connection: 'lab', prefix: 'out/' } };
    for (const outcome of ['done', 'failed'] as const) {
      const job = aJob({ outputs });
      t.deepEqual(await api.postJob({ body: job }), { uuid: job.uuid });
      const claim = await worker.mustClaim(0, ['job']);
      const result = resultOf(claim);
      const report = outcome === 'done' ? { outcome, result } : { outcome, result, failure: FAILURE };
      t.is(await worker.report(claim, report), outcome);
      t.is(await worker.report(claim, report), outcome, 'the same report again');
      t.is((await api.getOrder({ params: { id: job.uuid } })).result?.sha256, result.sha256);
      await eventually(t, (t) => t.is(calls.at(-1), `discard ${job.uuid}`));
    }
    t.is(calls.length, 2);
  },
);

testOnEngines('Only a job brings a result where it failed, and only its own', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const worker = await dockerWorker(compute);
  await api.postJob({ body: aJob() });
  await api.learn({ body: aLearnuplet() });
  const [job, learn] = [await worker.mustClaim(0, ['job']), await worker.mustClaim(0, ['learn'])];
  const failed = { outcome: 'failed', failure: FAILURE } as const;
  const wrong = { ...resultOf(job), uuid: randomUUID() };
  for (const [claim, report] of [
    [learn, { ...failed, result: resultOf(learn) }],
    [job, { ...failed, result: wrong }],
    [job, { outcome: 'done', result: wrong }],
  ] as const)
    await t.throwsAsync(worker.report(claim, report), { code: 'invalid_request', message: /^body\.result/ });
  t.is(await worker.report(job, failed), 'failed');
});

testOnEngines(
  'What a job runs, prints and makes is shown to those who may see the orders of its owner',
  async (t, open) => {
    await using compute = await open();
    const { api, checks } = compute;
    checks.readers = ['ann'];
    const worker = await dockerWorker(compute);
    const job = aJob({ command: ['--secret-plan'] });
    const params = { id: job.uuid };
    await api.postJob({ body: job }, as('ann'));
    const claim = await worker.mustClaim(0, ['job']);
    const chunks = (['inputs', 'job'] as const).map((step, seq) => ({
      ...{ seq, step, stream: 'stdout' as const, text: `secret-plan of ${step}\n` },
    }));
    await api.appendLog({ params: { ...params, attempt: 1 }, body: { chunks } });
    const failure = { ...FAILURE, message: 'secret-plan', log_tail: ['secret-plan'] };
    await worker.report(claim, { outcome: 'failed', failure, result: resultOf(claim) });
    await ends(t, compute, job.uuid, 'failed');
    const seenBy = async (call: Call) => {
      const log = (await api.orderLog({ params, query: {} }, call)).body;
      const events = await Array.fromAsync(await api.orderEvents({ params, headers: {} }, call));
      const list = await api.listOrders({ query: { kind: 'job' } }, call);
      const why = await api.whyOrder({ params }, call);
      const view = await api.getOrder({ params }, call);
      return `${await new Response(log).text()} ${JSON.stringify([events, list, why, view])}`;
    };
    for (const call of [as('ann'), as('eve', 'admin'), as('robot', 'orchestrator', false)]) {
      t.regex(
        await seenBy(call),
        /plan of inputs\nsecret-plan of job\n.*"--secret-plan"/,
        call.principal?.name,
      );
    }
    const others = await seenBy(as('bob'));
    t.notRegex(others, /secret-plan|registry\.example|aaaa/);
    t.regex(others, /"shown":\{"job":"nothing"\}/);
  },
);

testOnEngines('Who sends the job of another once more is not told that it is the same', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const job = aJob();
  const first = await api.postJob({ body: job }, as('ann'));
  await t.throwsAsync(api.postJob({ body: job }, as('bob')), { code: 'conflict' });
  t.deepEqual(await api.postJob({ body: job }, as('ann')), first);
});

testOnEngines('People order jobs for themselves, up to so many that are open', async (t, open) => {
  await using compute = await open({ openOrders: 1 });
  const { api } = compute;
  await t.throwsAsync(api.postJob({ body: aJob({ owner: 'bob' }) }, as('ann')), { code: 'forbidden' });
  await api.postJob({ body: aJob() }, as('ann'));
  await t.throwsAsync(api.postJob({ body: aJob() }, as('ann')), { code: 'rate_limited' });
  await t.notThrowsAsync(api.postJob({ body: aJob({ group: 'sweep' }) }, as('bob')));
  t.is((await api.listOrders({ query: { group: 'sweep' } }, as('bob'))).items[0]?.kind, 'job');
  await t.throwsAsync(api.postJob({ body: aJob({ callback: 'https://hooks.example/a' }) }, as('carol')), {
    code: 'invalid_order',
    message: /callback/,
  });
});

testOnEngines('Jobs are found by their labels, by who may see them', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const [anns, bobs] = [aJob({ labels: { run: '7' } }), aJob({ labels: { run: '7', more: '' } })];
  await api.postJob({ body: anns }, as('ann'));
  await api.postJob({ body: bobs }, as('bob'));
  const found = async (label: string, call: Call) => {
    const { items, total } = await api.listOrders({ query: { label } }, call);
    t.is(total, items.length);
    return items.map(({ id }) => id);
  };
  t.deepEqual(await found('run=7', as('ann')), [anns.uuid]);
  const all = await found('run=7', as('robot', 'orchestrator', false));
  t.is(all.length, 2);
  t.true(all.includes(anns.uuid) && all.includes(bobs.uuid));
  t.deepEqual(await found('more=', as('bob')), [bobs.uuid]);
  t.deepEqual(await found('run=8', as('bob')), []);
});
