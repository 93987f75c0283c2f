import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import test from 'ava';
import { listing } from '../archive/testing.ts';
import type { RunSpec } from '../container-runtime/index.ts';
import { contextArchive, failureOf, modelArchive, openBench, reportOf, resultOf } from '../testing/bench.ts';

test('A training ends with a staged model and its performance', async (t) => {
  await using bench = await openBench();
  const order = bench.learn();
  await bench.worker.settle();
  const { uplet } = order.spec;
  const result = resultOf(order);
  const staged = bench.storage.staged.get(`${order.id}.1`);
  t.is(result.uuid, 'model_end' in uplet ? uplet.model_end : '');
  t.is(staged?.uuid, result.uuid);
  t.is(staged?.type, 'model');
  t.is(staged?.owner, 'lab');
  t.is(staged?.algo, 'algo' in uplet ? uplet.algo : '');
  t.is(staged?.bytes.length, result.size);
  t.true(gunzipSync(staged?.bytes ?? '').includes('model_trained.json'));
  t.is(result.performance?.perf, 0.5);
  t.deepEqual(await bench.workspaces(), []);
  t.deepEqual(bench.dummy.misuses, []);
});

test('The steps of a training are told as they happen', async (t) => {
  await using bench = await openBench();
  const order = bench.learn();
  await bench.worker.settle();
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
  t.regex(said, /inputs: 5 blobs, [\d.]+ k?B, 0 cached/);
});

test('Each step sees what the container contract gives it and no more', async (t) => {
  const seen: Record<string, string[]> = {};
  const note = async ({ labels, mounts, args }: RunSpec) => {
    for (const { host, container, readOnly } of mounts) {
      const files = await listing(host);
      seen[`${labels.step} ${container}${readOnly ? ' (read only)' : ''}`] = files;
    }
    seen[`${labels.step} args`] = [...args];
  };
  const pending: Promise<void>[] = [];
  await using bench = await openBench({
    script: ({ spec }) => {
      if (spec !== undefined) pending.push(note(spec));
      return { sleep_ms: 50 };
    },
  });
  const order = bench.learn();
  await bench.worker.settle();
  await Promise.all(pending);
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

test('A training of a later rank goes on from the model before', async (t) => {
  await using bench = await openBench();
  const model_start = bench.storage.put(
    'model',
    modelArchive({ 'weights.bin': 'w', 'model_trained.json': '{}' }),
  );
  const order = bench.learn({ rank: 1, model_start });
  await bench.worker.settle();
  const model = gunzipSync(bench.storage.staged.get(`${order.id}.1`)?.bytes ?? '');
  t.is(reportOf(order).outcome, 'done');
  t.true(model.includes('"started_from_model":true'));
  t.true(model.includes('weights.bin'));
});

test('A later rank without a model to go on from says so', async (t) => {
  await using bench = await openBench();
  const order = bench.learn({ rank: 2 });
  await bench.worker.settle();
  const failure = failureOf(order);
  t.is(failure.reason, 'input_not_found');
  t.regex(failure.message, /rank 2.*model_start/);
});

test('A start model that is no archive is named', async (t) => {
  await using bench = await openBench();
  const model_start = bench.storage.put('model', 'not an archive');
  const order = bench.learn({ rank: 1, model_start });
  await bench.worker.settle();
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
  const reading: Promise<void>[] = [];
  await using bench = await openBench({
    script: ({ step, spec }) => {
      if (step === 'train') return cheat;
      const train = spec?.mounts.find(({ container }) => container === '/submission_data/train');
      if (train !== undefined) {
        const read = async () => {
          measured = await readFile(join(train.host, data), 'utf8');
          t.false((await listing(train.host)).includes('extra'));
        };
        reading.push(read());
      }
      return { sleep_ms: 30 };
    },
  });
  bench.storage.put('data', 'original', { uuid: data });
  const order = bench.learn({ train_data: [data] });
  await bench.worker.settle();
  await Promise.all(reading);
  t.is(measured, 'original');
  t.is(reportOf(order).outcome, 'done');
});

test('A data set that is named twice is used once', async (t) => {
  await using bench = await openBench();
  const data = bench.storage.put('data', 'one');
  const order = bench.learn({ train_data: [data, data] });
  await bench.worker.settle();
  t.deepEqual(Object.keys(resultOf(order).performance?.train_perf ?? {}), [data]);
});

test('An order without a place for its model is our error', async (t) => {
  await using bench = await openBench();
  const order = bench.learn({ model_end: '00000000-0000-0000-0000-000000000000' });
  await bench.worker.settle();
  t.is(failureOf(order, 'error').reason, 'internal');
});

test('A second order finds images, detarget and inputs done', async (t) => {
  await using bench = await openBench();
  const first = bench.learn();
  await bench.worker.settle();
  const second = bench.learn({ ...first.spec.uplet, uuid: randomUUID(), model_end: randomUUID() });
  await bench.worker.settle();
  t.is(reportOf(second).outcome, 'done');
  const calls = Object.groupBy(bench.dummy.calls, ({ step }) => step);
  const counts = Object.fromEntries(Object.entries(calls).map(([step, list]) => [step, list.length]));
  t.deepEqual(counts, { build: 2, detarget: 1, train: 2, perf: 2 });
  const cached = second.steps.filter((step) => step.cached === true).map(({ step }) => step);
  t.deepEqual(new Set(cached), new Set(['build', 'detarget']));
  t.true(second.log.some(({ text }) => text.includes('5 cached')));
});

test('Orders that want the same at once share the work', async (t) => {
  await using bench = await openBench({ slots: { learn: 4, predict: 0 } });
  const first = bench.learn();
  const others = [1, 2, 3].map(() =>
    bench.learn({ ...first.spec.uplet, uuid: randomUUID(), model_end: randomUUID() }),
  );
  await bench.worker.settle();
  for (const order of [first, ...others]) t.is(reportOf(order).outcome, 'done');
  t.is(bench.dummy.calls.filter(({ step }) => step === 'detarget').length, 1);
  const { uplet } = first.spec;
  for (const data of 'train_data' in uplet ? uplet.train_data : []) t.is(bench.storage.downloadsOf(data), 1);
});

test('A failed detarget is not kept', async (t) => {
  let fail = true;
  await using bench = await openBench({
    script: ({ step }) => (step === 'detarget' && fail ? { exit: 3 } : undefined),
  });
  const first = bench.learn();
  await bench.worker.settle();
  t.is(failureOf(first).step, 'detarget');
  fail = false;
  const second = bench.learn({ ...first.spec.uplet, uuid: randomUUID(), model_end: randomUUID() });
  await bench.worker.settle();
  t.is(reportOf(second).outcome, 'done');
});

test('Inputs give way to newer ones when the cache is full', async (t) => {
  await using bench = await openBench({ cacheBytes: 1500 });
  for (let order = 0; order < 4; order += 1) bench.learn();
  await bench.worker.settle();
  const orders = [...bench.compute.orders.values()];
  t.true(orders.every((order) => reportOf(order).outcome === 'done'));
  const sizes = (await listing(join(bench.folder, 'cache'))).map((name) =>
    Number(/\.(\d+)$/.exec(name)?.[1] ?? 0),
  );
  t.true(sizes.reduce((sum, size) => sum + size, 0) <= 1500);
});

test('A build context that was evicted is unpacked and built again', async (t) => {
  await using bench = await openBench({ cacheBytes: 1 });
  const algo = bench.storage.put('algo', contextArchive());
  const first = bench.learn({ algo });
  await bench.worker.settle();
  const second = bench.learn({ algo });
  await bench.worker.settle();
  t.deepEqual([reportOf(first).outcome, reportOf(second).outcome], ['done', 'done']);
  t.deepEqual(bench.dummy.misuses, []);
});
