import { type Dind, startDind, withParts } from '@morpheo/real-parts';
import { memoryLog } from '@morpheo/service/log';
import ava from 'ava';
import { leftovers, optionsFor, workerOf } from '../container-runtime/docker/testing/harness.ts';
import { openDockerRuntime } from '../container-runtime/docker.ts';
import { failureOf, openBench, resultOf } from '../testing/bench.ts';
import { doublingAlgorithm, doublingProblem, programArchive } from '../testing/programs.ts';

const test = withParts(ava, 'docker');
let dind: Promise<Dind> | undefined;

ava.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

async function openWorker(data: 'shared' | 'archive') {
  dind ??= startDind();
  const { socketPath, jobs } = await dind;
  const host = `unix://${socketPath}`;
  const log = memoryLog();
  const openRuntime = async (folder: string) => await openDockerRuntime({ ...optionsFor(host, folder), log });
  const bench = await openBench({ openRuntime, parent: data === 'shared' ? jobs : undefined });
  return { bench, log, left: async () => await leftovers(host, workerOf(bench.folder)) };
}

for (const data of ['shared', 'archive'] as const) {
  test.serial(`Containers train, are measured, and predict with the model: ${data} data`, async (t) => {
    const { bench: opened, left, log } = await openWorker(data);
    await using bench = opened;
    const { storage } = bench;
    const algo = storage.put('algo', doublingAlgorithm());
    const learn = bench.learn({
      workflow: storage.put('problem', doublingProblem()),
      algo,
      train_data: [storage.put('data', '3 6'), storage.put('data', '5 10')],
      test_data: [storage.put('data', '7 14')],
    });
    await bench.worker.settle();
    const result = resultOf(learn);
    t.is(result.performance?.perf, 1);
    t.deepEqual(Object.values(result.performance?.train_perf ?? {}), [1, 1]);
    const train = learn.steps.find(({ step }) => step === 'train');
    t.true((train?.peak_memory_bytes ?? 1) > 0 && (train?.cpu_seconds ?? 1) > 0);

    const model = storage.put('model', storage.staged.get(`${learn.id}.1`)?.bytes ?? '', { algo });
    const predict = bench.predict({ model, data: storage.put('data', '21') });
    await bench.worker.settle();
    t.is(storage.staged.get(`${predict.id}.1`)?.bytes.toString(), '42');
    t.deepEqual(await bench.workspaces(), []);
    t.deepEqual(await left(), []);
    t.true(log.entries.some((entry) => entry.data === data));
  });
}

test.serial('A second rank starts from the model of the first, which it may change', async (t) => {
  const { bench: opened } = await openWorker('shared');
  await using bench = opened;
  const { storage } = bench;
  const workflow = storage.put('problem', doublingProblem());
  const algo = storage.put('algo', doublingAlgorithm());
  const data = { train_data: [storage.put('data', '3 6')], test_data: [storage.put('data', '7 14')] };
  const first = bench.learn({ workflow, algo, ...data });
  await bench.worker.settle();
  const model = storage.put('model', storage.staged.get(`${first.id}.1`)?.bytes ?? '', { algo });
  const second = bench.learn({ workflow, algo, ...data, rank: 1, model_start: model });
  await bench.worker.settle();
  t.is(resultOf(second).performance?.perf, 1);
});

test.serial('A container that fails shows the end of its log', async (t) => {
  const { bench: opened } = await openWorker('shared');
  await using bench = opened;
  const workflow = bench.storage.put('problem', doublingProblem());
  const algo = bench.storage.put('algo', programArchive('console.error("no GPU here"); process.exit(7);'));
  const order = bench.learn({ workflow, algo });
  await bench.worker.settle();
  t.like(failureOf(order), { reason: 'exit_code', exit_code: 7, step: 'train', log_tail: ['no GPU here'] });
});
