import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isUuid } from '@morpheo/common';
import { listing } from '@morpheo/service/archive/testing';
import test from 'ava';
import type { TestOrder } from '../testing/memory-compute.ts';
import { failureOf, openTestWorker, reportOf, resultOf } from '../testing/test-worker.ts';

test('A prediction ends staged under a fresh id', async (t) => {
  await using setup = await openTestWorker();
  const order = setup.predict();
  await setup.worker.settle();
  const result = resultOf(order);
  const staged = setup.storage.staged.get(`${order.id}.1`);
  t.true(isUuid(result.uuid));
  t.like(staged, { type: 'prediction', uuid: result.uuid });
  const data = 'data' in order.spec.uplet ? order.spec.uplet.data : '';
  t.is(staged?.bytes.toString(), `prediction of ${data}\n`);
  t.is(result.performance, undefined);
  t.deepEqual(order.started, ['inputs', 'build', 'predict', 'results']);
  t.deepEqual(await setup.workspaces(), []);
});

test('A prediction gets the id that the order asks for', async (t) => {
  await using setup = await openTestWorker();
  const prediction_storage_uuid = randomUUID();
  const order = setup.predict({ prediction_storage_uuid });
  await setup.worker.settle();
  t.is(resultOf(order).uuid, prediction_storage_uuid);
});

/** The files that the algorithm finds in its model folder. */
async function modelSeen(files: Record<string, string>): Promise<string[]> {
  const seen: string[] = [];
  await using setup = await openTestWorker({
    before: async ({ mounts }) => {
      const model = mounts.find(({ container }) => container === '/data/model');
      if (model !== undefined) seen.push(...(await listing(model.host)));
    },
  });
  const order = setup.predict({}, files);
  await setup.worker.settle();
  if (reportOf(order).outcome !== 'done') throw new Error(JSON.stringify(order.reports));
  return seen;
}

test('A model of one file has its own name and the classic one', async (t) => {
  t.deepEqual(await modelSeen({ 'weights.bin': 'w' }), ['model_trained.json', 'weights.bin']);
  t.deepEqual(await modelSeen({ 'model_trained.json': '{}' }), ['model_trained.json']);
});

test('A model of several files is unpacked as it is', async (t) => {
  t.deepEqual(await modelSeen({ 'a.bin': 'a', 'parts/b.bin': 'b' }), ['a.bin', 'parts', 'parts/b.bin']);
});

function modelOf({ spec: { uplet } }: TestOrder): string {
  return 'model' in uplet ? uplet.model : '';
}

test('A model is unpacked once, and what one program writes to it no other finds', async (t) => {
  const found: string[] = [];
  await using setup = await openTestWorker({
    before: async ({ mounts }) => {
      const model = mounts.find(({ container }) => container === '/data/model');
      const file = join(model?.host ?? '', 'parts/weights.bin');
      found.push(readFileSync(file, 'utf8'));
      writeFileSync(file, 'spoilt');
    },
  });
  const first = setup.predict({}, { 'parts/weights.bin': 'as trained', b: '' });
  await setup.worker.settle();
  const kept = () => readdirSync(join(setup.folder, 'cache', 'models'));
  const entries = kept();
  const again = setup.predict({ model: modelOf(first) });
  await setup.worker.settle();
  t.is(reportOf(again).outcome, 'done');
  t.deepEqual(found, ['as trained', 'as trained']);
  t.is(entries.length, 1);
  t.deepEqual(kept(), entries);
});

test('Who asks for a broken model is told of it by the id that their order has for it', async (t) => {
  await using setup = await openTestWorker({ slots: { learn: 1, predict: 2, job: 1 } });
  const broken = { same: 'a file', 'same/name': 'within it' };
  const orders = [setup.predict({}, broken), setup.predict({}, broken)];
  await setup.worker.settle();
  for (const order of orders)
    t.true(failureOf(order).message.startsWith(`The model ${modelOf(order)} cannot be unpacked.`));
  t.deepEqual(readdirSync(join(setup.folder, 'cache', 'models')), []);
});

test('A prediction step that writes nothing fails with the file that is missing', async (t) => {
  await using setup = await openTestWorker({ script: { predict: { idle: true } } });
  const order = setup.predict();
  await setup.worker.settle();
  const data = 'data' in order.spec.uplet ? order.spec.uplet.data : '';
  t.like(failureOf(order), { reason: 'missing_result', step: 'predict', file: `/data/test/pred/${data}` });
  t.is(setup.storage.staged.size, 0);
});

test('A prediction that failed although it wrote its file is not a result', async (t) => {
  await using setup = await openTestWorker({ script: { predict: { exit: 2 } } });
  const order = setup.predict();
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'exit_code', exit_code: 2 });
  t.is(setup.storage.staged.size, 0);
});

test('A model that cannot be unpacked fails the step that needs it, and nothing else tells what is in it', async (t) => {
  await using setup = await openTestWorker();
  const order = setup.predict({}, { secret: 'a file', 'secret/name': 'within it' });
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'invalid_result', step: 'predict' });
  t.regex(failureOf(order).message, /secret/);
  t.false(order.log.some(({ step, text }) => step !== 'predict' && text.includes('secret')));
});

test('A model that is not there is named', async (t) => {
  await using setup = await openTestWorker();
  const model = randomUUID();
  const order = setup.predict({ model });
  await setup.worker.settle();
  t.is(failureOf(order).reason, 'input_not_found');
  t.true(failureOf(order).message.includes(`model ${model}`));
});
