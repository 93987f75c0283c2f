import { rawTarGz } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openProcessRuntime } from '../runtime/process/index.ts';
import { CAPITALS_JOB, doublingAlgorithm, doublingProblem, programArchive } from '../testing/programs.ts';
import { failureOf, openTestWorker, reportOf, resultOf } from '../testing/test-worker.ts';

const openRuntime = async (folder: string) => await openProcessRuntime({ folder, log: silentLog });

test('Real programs train, are measured, and predict with the model', async (t) => {
  await using setup = await openTestWorker({ openRuntime });
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
  const trained = storage.staged.get(`${learn.id}.1`)?.bytes ?? '';

  const model = storage.put('model', trained, { algo });
  const predict = setup.predict({ model, data: storage.put('data', '21') });
  await setup.worker.settle();
  t.is(storage.staged.get(`${predict.id}.1`)?.bytes.toString(), '42');
  t.true(
    learn.log.some(
      ({ step, stream, text }) => step === 'train' && stream === 'stdout' && /predicted/.test(text),
    ),
  );
  t.deepEqual(await setup.workspaces(), []);
});

test('A job finds its inputs and its folders by its arguments and its variables', async (t) => {
  await using setup = await openTestWorker({ openRuntime });
  const { storage } = setup;
  const data = storage.put('data', rawTarGz([{ name: 'a', body: 'text' }]));
  const order = setup.job({
    algo: storage.put('algo', programArchive(CAPITALS_JOB)),
    ...{ command: ['/in/put', '0'], env: { SUFFIX: '.big' } },
    inputs: [{ path: '/in/put', resource: { type: 'data', uuid: data }, unpack: true }],
  });
  await setup.worker.settle();
  const { size } = resultOf(order);
  const staged = storage.staged.get(`${order.id}.1`);
  t.is(staged?.bytes.byteLength, size);
  t.regex(staged?.bytes.toString('latin1') ?? '', /nested\/a\.big.*TEXT/s);
  t.deepEqual(await setup.workspaces(), []);
});

test('A job whose program cannot be started for what its order says fails at once, and is told why', async (t) => {
  await using setup = await openTestWorker({ openRuntime });
  const dockerfile = 'FROM node:24-slim\nWORKDIR /app/inside\nENTRYPOINT ["node"]\n';
  const algo = setup.storage.put('algo', rawTarGz([{ name: 'Dockerfile', body: dockerfile }]));
  const hidden = setup.job({ algo, inputs: [{ path: '/app/inside', inline: 'eA==' }] });
  // Each is replaced by the far longer path of the folder.
  const long = setup.job({ algo, command: ['/outputs:'.repeat(7000)] });
  await setup.worker.settle();
  t.like(failureOf(hidden), { reason: 'exit_code', exit_code: 127 });
  t.regex(hidden.log.map(({ text }) => text).join(''), /Cannot start node: its working folder, .* is a file/);
  t.like(failureOf(long), { reason: 'exit_code', exit_code: 126 });
  t.regex(long.log.map(({ text }) => text).join(''), /Cannot start node: its arguments .* are longer/);
});

test('A program that fails shows the end of its log', async (t) => {
  await using setup = await openTestWorker({ openRuntime });
  const workflow = setup.storage.put('problem', doublingProblem());
  const algo = setup.storage.put('algo', programArchive('console.error("no GPU here"); process.exit(7);'));
  const order = setup.learn({ workflow, algo });
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'exit_code', exit_code: 7, step: 'train', log_tail: ['no GPU here'] });
});

test('A program that runs for too long is stopped', async (t) => {
  const wallMs = { learn: 4000, predict: 4000, job: 4000 };
  await using setup = await openTestWorker({ openRuntime, limits: { wallMs } });
  const algo = setup.storage.put('algo', programArchive('setInterval(() => undefined, 1000);'));
  const model = setup.storage.put('model', modelOf(), { algo });
  const order = setup.predict({ model });
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'timed_out', step: 'predict', limit: '4 s' });
  t.deepEqual(await setup.workspaces(), []);
});

test('A program that is cancelled leaves nothing behind', async (t) => {
  await using setup = await openTestWorker({ openRuntime, pollMs: 20, graceMs: 20 });
  const algo = setup.storage.put(
    'algo',
    programArchive('console.log("here"); setInterval(() => undefined, 1000);'),
  );
  const order = setup.predict({ model: setup.storage.put('model', modelOf(), { algo }) });
  await eventually(t, (inner) => inner.true(order.log.some(({ text }) => text.includes('here'))));
  await setup.worker.drain();
  t.is(reportOf(order).outcome, 'released');
  t.deepEqual(await setup.workspaces(), []);
});

function modelOf(): Buffer {
  return programArchive('a model of any files');
}
