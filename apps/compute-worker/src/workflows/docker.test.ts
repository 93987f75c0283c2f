import { openSharedDind, type SharedDind, withParts } from '@morpheo/real-parts';
import { ArchiveReader } from '@morpheo/service/archive';
import { chunked, rawTar } from '@morpheo/service/archive/testing';
import { memoryLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { OBEDIENT } from '../runners/testing.ts';
import { openDockerRuntime } from '../runtime/docker/index.ts';
import type { SpareLimits } from '../runtime/docker/spares/pool.ts';
import { leftovers, optionsFor, SOME_SPARES, workerOf } from '../runtime/docker/testing/harness.ts';
import { CAPITALS_JOB, doublingAlgorithm, doublingProblem, programArchive } from '../testing/programs.ts';
import { failureOf, openTestWorker, reportOf, resultOf } from '../testing/test-worker.ts';

const test = withParts(ava, 'docker');
let dind: Promise<SharedDind> | undefined;

ava.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

async function openWorker(data: 'shared' | 'archive', spares?: SpareLimits) {
  dind ??= openSharedDind();
  const { socketPath, jobs } = await dind;
  const host = `unix://${socketPath}`;
  const log = memoryLog();
  const openRuntime = async (folder: string) =>
    await openDockerRuntime({ ...optionsFor(host, folder, { spares }), log });
  const setup = await openTestWorker({ openRuntime, parent: data === 'shared' ? jobs : undefined });
  return { setup, log, left: async () => await leftovers(host, workerOf(setup.folder)) };
}

for (const data of ['shared', 'archive'] as const) {
  test.serial(`Containers train, are measured, and predict with the model: ${data} data`, async (t) => {
    const { setup: opened, left, log } = await openWorker(data);
    await using setup = opened;
    const { storage } = setup;
    const algo = storage.put('algo', doublingAlgorithm());
    const learn = setup.learn({
      workflow: storage.put('problem', doublingProblem()),
      algo,
      train_data: [storage.put('data', '3 6'), storage.put('data', '5 10')],
      test_data: [storage.put('data', '7 14')],
    });
    await setup.worker.settle();
    const result = resultOf(learn);
    t.is(result.performance?.perf, 1);
    t.deepEqual(Object.values(result.performance?.train_perf ?? {}), [1, 1]);
    const train = learn.steps.find(({ step }) => step === 'train');
    t.true((train?.peak_memory_bytes ?? 1) > 0 && (train?.cpu_seconds ?? 1) > 0);

    const model = storage.put('model', storage.staged.get(`${learn.id}.1`)?.bytes ?? '', { algo });
    const predict = setup.predict({ model, data: storage.put('data', '21') });
    await setup.worker.settle();
    t.is(storage.staged.get(`${predict.id}.1`)?.bytes.toString(), '42');
    t.deepEqual(await setup.workspaces(), []);
    await eventually(t, async (inner) => inner.deepEqual(await left(), []));
    t.true(log.entries.some((entry) => entry.data === data));
  });
}

for (const data of ['shared', 'archive'] as const) {
  test.serial(
    `A job gets files and folders, and what it leaves is kept though it fails: ${data} data`,
    async (t) => {
      const { setup: opened, left } = await openWorker(data);
      await using setup = opened;
      const { storage } = setup;
      const uuid = storage.put('output', rawTar([{ name: 'a', body: 'text' }]));
      const order = setup.job({
        algo: storage.put('algo', programArchive(CAPITALS_JOB)),
        ...{ command: ['/app/in', '5'], env: { SUFFIX: '.big' } },
        inputs: [
          { path: '/app/in', resource: { type: 'output', uuid } },
          { path: '/app/package.json', inline: Buffer.from('{}').toString('base64') },
        ],
        limits: { memory_bytes: 512 * 1024 ** 2 },
      });
      await setup.worker.settle();
      t.like(reportOf(order), {
        failure: { exit_code: 5, step: 'job' },
        result: { uuid: order.spec.uplet.output },
      });
      const tar = storage.staged.get(`${order.id}.1`)?.bytes ?? Buffer.alloc(0);
      const entries = new ArchiveReader(chunked(tar), false).entries(AbortSignal.timeout(60_000));
      const found: string[] = [];
      for await (const { header, bytes } of entries)
        found.push(`${header.name} ${header.executable} ${Buffer.concat(await Array.fromAsync(bytes()))}`);
      const metrics = 'metrics.jsonl false {"files":1}';
      t.deepEqual(found, ['nested/ true ', 'nested/empty/ true ', metrics, 'nested/a.big true TEXT']);
      t.deepEqual(order.metrics, [{ attempt: 1, from: 0, lines: [{ files: 1 }] }]);
      t.regex(storage.checkpoints.get(order.id)?.toString('latin1') ?? '', /^state\0.*done/s);
      t.deepEqual(await setup.workspaces(), []);
      await eventually(t, async (inner) => inner.deepEqual(await left(), []));
    },
  );
}

test.serial(
  'A container that stays answers the jobs of an owner, until one fails; it leaves nothing',
  async (t) => {
    const { setup: opened, left } = await openWorker('shared');
    await using setup = opened;
    const { storage } = setup;
    const algo = storage.put('algo', programArchive(OBEDIENT, ['morpheo.runner=1']));
    const call = async (program: string) => {
      const input = { path: '/in/program', inline: Buffer.from(program).toString('base64') };
      const order = setup.job({ algo, warm: 'runner', inputs: [input] });
      await setup.worker.settle();
      const { reused } = order.steps.find(({ step }) => step === 'job') ?? {};
      return { order, reused, staged: storage.staged.get(`${order.id}.1`)?.bytes.toString('latin1') ?? '' };
    };
    // What one leaves in a place that it may write to is gone for the next.
    const program = `fs.writeFileSync(outputs + '/a', String(fs.existsSync('/tmp/left'))); fs.writeFileSync('/tmp/left', '');`;
    const found = [await call(program), await call(program)];
    t.deepEqual(
      found.map(({ reused }) => reused),
      [0, 1],
    );
    for (const { staged } of found) t.regex(staged, /^a\0.*false/s);
    t.like(failureOf((await call('process.exit(3);')).order), { exit_code: 3, step: 'job' });
    t.is((await call(program)).reused, 0);
    t.deepEqual(await setup.workspaces(), []);
    await setup.worker[Symbol.asyncDispose]();
    await eventually(t, async (inner) => inner.deepEqual(await left(), []));
  },
);

test.serial('A second rank starts from the model of the first, which it may change', async (t) => {
  const { setup: opened, log } = await openWorker('shared', SOME_SPARES);
  await using setup = opened;
  const { storage } = setup;
  const workflow = storage.put('problem', doublingProblem());
  const algo = storage.put('algo', doublingAlgorithm());
  const data = { train_data: [storage.put('data', '3 6')], test_data: [storage.put('data', '7 14')] };
  const first = setup.learn({ workflow, algo, ...data });
  await setup.worker.settle();
  const model = storage.put('model', storage.staged.get(`${first.id}.1`)?.bytes ?? '', { algo });
  const second = setup.learn({ workflow, algo, ...data, rank: 1, model_start: model });
  await setup.worker.settle();
  t.is(resultOf(second).performance?.perf, 1);
  // Of each order the steps train and perf.
  const ahead = log.entries.filter(
    ({ message }) => message === 'A run has a container that was started ahead',
  );
  t.is(ahead.length, 4);
});

test.serial('A container that fails shows the end of its log', async (t) => {
  const { setup: opened } = await openWorker('shared');
  await using setup = opened;
  const workflow = setup.storage.put('problem', doublingProblem());
  const algo = setup.storage.put('algo', programArchive('console.error("no GPU here"); process.exit(7);'));
  const order = setup.learn({ workflow, algo });
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'exit_code', exit_code: 7, step: 'train', log_tail: ['no GPU here'] });
});
