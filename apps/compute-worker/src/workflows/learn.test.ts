import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { listing } from '@morpheo/service/archive/testing';
import test from 'ava';
import type { RunSpec } from '../runtime/index.ts';
import {
  contextArchive,
  failureOf,
  modelArchive,
  openTestWorker,
  reportOf,
  resultOf,
} from '../testing/test-worker.ts';

test('A training ends with a staged model and its performance', async (t) => {
  await using setup = await openTestWorker();
  const order = setup.learn();
  await setup.worker.settle();
  const { uplet } = order.spec;
  const result = resultOf(order);
  const staged = setup.storage.staged.get(`${order.id}.1`);
  t.is(result.uuid, 'model_end' in uplet ? uplet.model_end : '');
  t.is(staged?.uuid, result.uuid);
  t.is(staged?.type, 'model');
  t.is(staged?.owner, 'lab');
  t.is(staged?.algo, 'algo' in uplet ? uplet.algo : '');
  t.is(staged?.bytes.length, result.size);
  t.true(gunzipSync(staged?.bytes ?? '').includes('model_trained.json'));
  t.is(result.performance?.perf, 0.5);
  t.deepEqual(await setup.workspaces(), []);
  t.deepEqual(setup.dummy.misuses, []);
});

test('The steps of a training are sent as they happen', async (t) => {
  await using setup = await openTestWorker();
  const order = setup.learn();
  await setup.worker.settle();
  t.deepEqual(order.started, ['inputs', 'build', 'detarget', 'train', 'perf', 'results']);
  t.deepEqual(new Set(order.steps.map(({ step }) => step)), new Set(order.started));
  t.is(order.steps.length, order.started.length);
  const train = order.steps.find(({ step }) => step === 'train');
  t.like(train, { exit_code: 0, peak_memory_bytes: 1024 * 1024 });
  t.true((train?.seconds ?? -1) >= 0);
  const said = order.log
    .filter(({ stream }) => stream === 'platform')
    .map(({ text }) => text)
    .join('');
  t.regex(said, /inputs: 5 blobs\n/);
});

test('A training that has parameters finds them in a file, and nobody else does', async (t) => {
  const seen: string[] = [];
  await using setup = await openTestWorker({
    before: async ({ labels, mounts }) => {
      for (const { host, container, readOnly } of mounts)
        if (container.endsWith('.json'))
          seen.push(`${labels.step} ${container} ${readOnly} ${await readFile(host, 'utf8')}`);
    },
  });
  const order = setup.learn({ parameters: '{"rate":0.1}' });
  await setup.worker.settle();
  t.is(resultOf(order).performance?.perf, 0.5);
  t.deepEqual(seen, ['train /data/parameters.json true {"rate":0.1}']);
});

test('Each step sees what the container contract gives it and no more', async (t) => {
  const seen: Record<string, string[]> = {};
  const note = async ({ labels, mounts, args }: RunSpec) => {
    for (const { host, container, readOnly } of mounts) {
      const files = await listing(host);
      seen[`${labels.step} ${container}${readOnly ? ' (read only)' : ''}`] = files;
    }
    seen[`${labels.step} args`] = [...(args ?? [])];
  };
  await using setup = await openTestWorker({ before: note });
  const order = setup.learn();
  await setup.worker.settle();
  const { uplet } = order.spec;
  const train = 'train_data' in uplet ? uplet.train_data.toSorted() : [];
  const tested = 'test_data' in uplet ? uplet.test_data : [];
  const withPred = (names: string[]) =>
    [...names, 'pred', ...names.map((name) => `pred/${name}`)].toSorted((a, b) => (a < b ? -1 : 1));
  t.deepEqual(seen, {
    'detarget args': ['-T', 'detarget', '-i', '/hidden_data', '-s', '/submission_data'],
    'detarget /hidden_data/test (read only)': tested,
    'detarget /submission_data/test': [],
    'train args': ['-V', '/data', '-T', 'train'],
    'train /data/train': train,
    'train /data/test': tested,
    'train /data/model': [],
    'perf args': ['-T', 'perf', '-i', '/hidden_data', '-s', '/submission_data'],
    'perf /hidden_data/test (read only)': tested,
    'perf /hidden_data/perf': [],
    'perf /submission_data/train (read only)': withPred(train),
    'perf /submission_data/test (read only)': withPred(tested),
  });
});

test('A training of a later rank starts from the model before', async (t) => {
  await using setup = await openTestWorker();
  const model_start = setup.storage.put(
    'model',
    modelArchive({ 'weights.bin': 'w', 'model_trained.json': '{}' }),
  );
  const order = setup.learn({ rank: 1, model_start });
  await setup.worker.settle();
  const model = gunzipSync(setup.storage.staged.get(`${order.id}.1`)?.bytes ?? '');
  t.is(reportOf(order).outcome, 'done');
  t.true(model.includes('"started_from_model":true'));
  t.true(model.includes('weights.bin'));
});

test('A later rank without a model to start from says so', async (t) => {
  await using setup = await openTestWorker();
  const order = setup.learn({ rank: 2 });
  await setup.worker.settle();
  const failure = failureOf(order);
  t.is(failure.reason, 'input_not_found');
  t.regex(failure.message, /rank 2.*model_start/);
});

test('A start model that is no archive is named', async (t) => {
  await using setup = await openTestWorker();
  const model_start = setup.storage.put('model', 'not an archive');
  const order = setup.learn({ rank: 1, model_start });
  await setup.worker.settle();
  const failure = failureOf(order);
  t.is(failure.reason, 'invalid_result');
  t.true(failure.message.includes(model_start));
});

test('The measure is taken of data as they came, whatever the algorithm did', async (t) => {
  const data = randomUUID();
  let measured = '';
  const cheat = {
    write: { [`/data/train/${data}`]: 'forged', '/data/train/extra': 'more', '/data/test/extra': 'more' },
  };
  await using setup = await openTestWorker({
    script: { train: cheat },
    before: async ({ mounts }) => {
      const train = mounts.find(({ container }) => container === '/submission_data/train');
      if (train === undefined) return;
      measured = await readFile(join(train.host, data), 'utf8');
      t.false((await listing(train.host)).includes('extra'));
    },
  });
  setup.storage.put('data', 'original', { uuid: data });
  const order = setup.learn({ train_data: [data] });
  await setup.worker.settle();
  t.is(measured, 'original');
  t.is(reportOf(order).outcome, 'done');
});

test('A score under a key that is no data set of the order is refused, and who has none is named', async (t) => {
  const [train, test] = [randomUUID(), randomUUID()];
  for (const [scores, said] of [
    [
      { perf: 0.5, train_perf: { bogus: 1 }, test_perf: {} },
      [`train_perf has a score under "bogus", which is no data set`, `test_perf has no score of ${test}.`],
    ],
    [
      { perf: 0.5, train_perf: { [test]: 1 }, test_perf: { [test]: 1, [train]: 1, more: 0 } },
      [`train_perf has a score under "${test}"`, `test_perf has a score under "${train}" and 1 more`],
    ],
  ] as const) {
    const write = { '/hidden_data/perf/performance.json': JSON.stringify(scores) };
    await using setup = await openTestWorker({ script: { perf: { write } } });
    setup.storage.put('data', 'one', { uuid: train });
    setup.storage.put('data', 'two', { uuid: test });
    const order = setup.learn({ train_data: [train], test_data: [test] });
    await setup.worker.settle();
    const failure = failureOf(order);
    t.like(failure, { reason: 'invalid_result', step: 'perf', file: '/hidden_data/perf/performance.json' });
    for (const words of said) t.true(failure.message.includes(words), failure.message);
    t.is(setup.storage.staged.size, 0);
  }
});

test('A data set that perf gave no score is named in the log', async (t) => {
  const data = randomUUID();
  const write = { '/hidden_data/perf/performance.json': '{"perf": 0.5, "train_perf": {}, "test_perf": {}}' };
  await using setup = await openTestWorker({ script: { perf: { write } } });
  setup.storage.put('data', 'one', { uuid: data });
  const order = setup.learn({ train_data: [data] });
  await setup.worker.settle();
  t.is(resultOf(order).performance?.perf, 0.5);
  const said = order.log.filter(({ stream }) => stream === 'platform').map(({ text }) => text);
  t.true(said.join('').includes(`perf: train_perf has no score of ${data}; test_perf has no score of `));
});

test('A data set that is named twice is used once', async (t) => {
  await using setup = await openTestWorker();
  const data = setup.storage.put('data', 'one');
  const order = setup.learn({ train_data: [data, data] });
  await setup.worker.settle();
  t.deepEqual(Object.keys(resultOf(order).performance?.train_perf ?? {}), [data]);
});

test('An order without an id for its model is the platform’s error', async (t) => {
  await using setup = await openTestWorker();
  const order = setup.learn({ model_end: '00000000-0000-0000-0000-000000000000' });
  await setup.worker.settle();
  t.is(failureOf(order, 'error').reason, 'internal');
});

test('A second order finds images, detarget and inputs done', async (t) => {
  await using setup = await openTestWorker();
  const first = setup.learn();
  await setup.worker.settle();
  const second = setup.learn({ ...first.spec.uplet, uuid: randomUUID(), model_end: randomUUID() });
  await setup.worker.settle();
  t.is(reportOf(second).outcome, 'done');
  const calls = Object.groupBy(setup.dummy.calls, ({ step }) => step);
  const counts = Object.fromEntries(Object.entries(calls).map(([step, list]) => [step, list.length]));
  t.deepEqual(counts, { build: 2, detarget: 1, train: 2, perf: 2 });
  const cached = second.steps.filter((step) => step.cached === true).map(({ step }) => step);
  t.deepEqual(new Set(cached), new Set(['build', 'detarget']));
  t.is(setup.storage.downloads.size, 5);
  for (const [uuid, ranges] of setup.storage.downloads) t.deepEqual(ranges, [''], uuid);
});

test('Orders that want the same at once share the work', async (t) => {
  await using setup = await openTestWorker({ slots: { learn: 4, predict: 0 } });
  const first = setup.learn();
  const others = [1, 2, 3].map(() =>
    setup.learn({ ...first.spec.uplet, uuid: randomUUID(), model_end: randomUUID() }),
  );
  await setup.worker.settle();
  for (const order of [first, ...others]) t.is(reportOf(order).outcome, 'done');
  t.is(setup.dummy.calls.filter(({ step }) => step === 'detarget').length, 1);
  const { uplet } = first.spec;
  for (const data of 'train_data' in uplet ? uplet.train_data : []) t.is(setup.storage.downloadsOf(data), 1);
});

test('A file that detarget leaves where predictions belong stands in nobody’s way', async (t) => {
  await using setup = await openTestWorker({
    script: ({ step }) =>
      step === 'detarget' ? { write: { '/submission_data/test/pred': 'no folder' } } : undefined,
  });
  const order = setup.learn();
  await setup.worker.settle();
  t.is(reportOf(order).outcome, 'done');
});

test('A failed detarget is not kept', async (t) => {
  let fail = true;
  await using setup = await openTestWorker({
    script: ({ step }) => (step === 'detarget' && fail ? { exit: 3 } : undefined),
  });
  const first = setup.learn();
  await setup.worker.settle();
  t.is(failureOf(first).step, 'detarget');
  fail = false;
  const second = setup.learn({ ...first.spec.uplet, uuid: randomUUID(), model_end: randomUUID() });
  await setup.worker.settle();
  t.is(reportOf(second).outcome, 'done');
});

test('Inputs give way to newer ones when the cache is full', async (t) => {
  await using setup = await openTestWorker({ cacheBytes: 1500 });
  for (let order = 0; order < 4; order += 1) setup.learn();
  await setup.worker.settle();
  const orders = [...setup.compute.orders.values()];
  t.true(orders.every((order) => reportOf(order).outcome === 'done'));
  const sizes = (await listing(join(setup.folder, 'cache'))).map((name) =>
    Number(/\.(\d+)$/.exec(name)?.[1] ?? 0),
  );
  t.true(sizes.reduce((sum, size) => sum + size, 0) <= 1500);
});

test('A build context that was evicted is unpacked and built again', async (t) => {
  await using setup = await openTestWorker({ cacheBytes: 1 });
  const algo = setup.storage.put('algo', contextArchive());
  const first = setup.learn({ algo });
  await setup.worker.settle();
  const second = setup.learn({ algo });
  await setup.worker.settle();
  t.deepEqual([reportOf(first).outcome, reportOf(second).outcome], ['done', 'done']);
  t.deepEqual(setup.dummy.misuses, []);
});
