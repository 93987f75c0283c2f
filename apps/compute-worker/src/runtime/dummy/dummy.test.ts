import { mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrderFailure, performance as performanceSchema, type Step } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import type { Mount, OutputChunk, RunLimits } from '../index.ts';
import { type DummyRuntimeOptions, openDummyRuntime } from './index.ts';

const LIMITS: RunLimits = {
  wallMs: 60_000,
  outputBytes: 1000,
  diskBytes: 1e6,
  diskFiles: 10,
  memoryBytes: 1e9,
};

/** A folder with a dummy, for one test. */
async function openStage(options: DummyRuntimeOptions = {}, script?: unknown) {
  const box = await temporaryFolder();
  const context = { digest: 'a'.repeat(64), folder: join(box.path, 'context') };
  await mkdir(context.folder);
  await writeFile(join(context.folder, 'Dockerfile'), '');
  if (script !== undefined) await writeFile(join(context.folder, 'dummy.json'), JSON.stringify(script));
  const runtime = openDummyRuntime(options);
  const texts = { stdout: '', stderr: '' };
  const calls = { signal: new AbortController().signal, onOutput: async (_chunk: OutputChunk) => undefined };
  const keep = async ({ stream, bytes }: OutputChunk) => {
    texts[stream] += Buffer.from(bytes).toString();
  };
  let scratches = 0;
  return {
    box: box.path,
    runtime,
    context,
    calls,
    texts,
    mount: async (container: string, names: readonly string[] = []): Promise<Mount> => {
      const host = join(box.path, container.replaceAll('/', '_'));
      await mkdir(host, { recursive: true });
      for (const name of names) await writeFile(join(host, name), name);
      return { host, container, readOnly: false };
    },
    spec: async (step: Step, mounts: readonly Mount[], limits: Partial<RunLimits> = {}) => {
      const image = await runtime.prepare(context, calls);
      const scratch = join(box.path, `scratch-${scratches++}`);
      await mkdir(scratch);
      const labels = { order: 'o', attempt: 1, step };
      return { image, args: [], mounts, limits: { ...LIMITS, ...limits }, scratch, labels };
    },
    keep: { signal: calls.signal, onOutput: keep },
    [Symbol.asyncDispose]: async () => {
      await runtime[Symbol.asyncDispose]();
      await box[Symbol.asyncDispose]();
    },
  };
}

const trainMounts = async ({ mount }: Pick<Awaited<ReturnType<typeof openStage>>, 'mount'>) => [
  await mount('/data/train', ['t1', 't2']),
  await mount('/data/test', ['s1']),
  await mount('/data/model'),
];

test('Training writes predictions and a model', async (t) => {
  await using stage = await openStage();
  const mounts = await trainMounts(stage);
  const result = await stage.runtime.run(await stage.spec('train', mounts), stage.calls);
  t.is(result.ended, 'exited');
  t.is(result.exitCode, 0);
  for (const path of ['_data_train/pred/t1', '_data_train/pred/t2', '_data_test/pred/s1']) {
    t.regex(await readFile(join(stage.box, path), 'utf8'), /prediction of/);
  }
  t.truthy(JSON.parse(await readFile(join(stage.box, '_data_model/model_trained.json'), 'utf8')));
});

test('Measuring writes scores that the platform understands', async (t) => {
  await using stage = await openStage();
  const mounts = [await stage.mount('/hidden_data/test', ['s1']), await stage.mount('/hidden_data/perf')];
  for (const [container, name] of [
    ['/submission_data/train', 't1'],
    ['/submission_data/test', 's1'],
  ] as const) {
    const mount = await stage.mount(container, [name]);
    await mkdir(join(mount.host, 'pred'));
    await writeFile(join(mount.host, 'pred', name), '');
    mounts.push(mount);
  }
  t.is((await stage.runtime.run(await stage.spec('perf', mounts), stage.calls)).exitCode, 0);
  const text = await readFile(join(stage.box, '_hidden_data_perf/performance.json'), 'utf8');
  t.deepEqual(performanceSchema.parse(JSON.parse(text)), {
    perf: 0.5,
    train_perf: { t1: 0.5 },
    test_perf: { s1: 0.5 },
  });
});

test('Detargeting copies, and predicting needs a model', async (t) => {
  await using stage = await openStage();
  const hidden = await stage.mount('/hidden_data/test', ['s1']);
  const open = await stage.mount('/submission_data/test');
  await stage.runtime.run(await stage.spec('detarget', [hidden, open]), stage.calls);
  t.is(await readFile(join(open.host, 's1'), 'utf8'), 's1');
  const data = await stage.mount('/data/test', ['d']);
  const spec = await stage.spec('predict', [data, await stage.mount('/data/model')]);
  t.is((await stage.runtime.run(spec, stage.keep)).exitCode, 1);
  t.regex(stage.texts.stderr, /no model/);
  const again = await stage.spec('predict', [data, await stage.mount('/data/model', ['m'])]);
  t.is((await stage.runtime.run(again, stage.calls)).exitCode, 0);
  t.regex(await readFile(join(data.host, 'pred', 'd'), 'utf8'), /prediction of d/);
});

test('A dummy.json in the build context says how a step misbehaves', async (t) => {
  const script = {
    train: {
      stdout: 'out',
      stderr: 'err',
      write: { '/data/model/more': 'x' },
      link: { '/data/model/model': '/etc/passwd' },
      remove: ['/data/train/pred/t1'],
      exit: 3,
    },
  };
  await using stage = await openStage({ script: { train: { exit: 9 } } }, script);
  const mounts = await trainMounts(stage);
  const result = await stage.runtime.run(await stage.spec('train', mounts), stage.keep);
  t.is(result.exitCode, 3);
  t.deepEqual(stage.texts, { stdout: 'out', stderr: 'err' });
  t.is(await readFile(join(stage.box, '_data_model/more'), 'utf8'), 'x');
  t.is(await readlink(join(stage.box, '_data_model/model')), '/etc/passwd');
  await t.throwsAsync(readFile(join(stage.box, '_data_train/pred/t1')), { code: 'ENOENT' });
});

test('A script may be a function of the call', async (t) => {
  await using stage = await openStage({
    script: ({ step, nth }) =>
      step === 'train' && nth === 0 ? { idle: true, ended: 'out_of_memory' } : undefined,
  });
  const mounts = await trainMounts(stage);
  t.is((await stage.runtime.run(await stage.spec('train', mounts), stage.calls)).ended, 'out_of_memory');
  t.is((await stage.runtime.run(await stage.spec('train', mounts), stage.calls)).ended, 'exited');
  t.deepEqual(
    stage.runtime.calls.map(({ step, nth }) => [step, nth]),
    [
      ['build', 0],
      ['train', 0],
      ['train', 1],
    ],
  );
});

test('The platform may be told to fail, in a build and in a run', async (t) => {
  await using stage = await openStage({ script: { train: { throw: 'unavailable' } } });
  const spec = await stage.spec('train', await trainMounts(stage));
  await t.throwsAsync(stage.runtime.run(spec, stage.calls), { code: 'unavailable' });
  await using broken = await openStage({}, { build: { throw: 'build_failed' } });
  const error = await t.throwsAsync(broken.runtime.prepare(broken.context, broken.calls), {
    instanceOf: OrderFailure,
  });
  t.is(error.failure.reason, 'build_failed');
});

test('Printing more than the limit ends the run at the limit', async (t) => {
  await using stage = await openStage({ script: { train: { print_bytes: 5000 } } });
  const result = await stage.runtime.run(await stage.spec('train', await trainMounts(stage)), stage.keep);
  t.is(result.ended, 'output_limit');
  t.is(stage.texts.stdout.length, 1000);
});

test('A step that sleeps is stopped by its limit, by an abort and by the end of the runtime', async (t) => {
  await using stage = await openStage({ script: { train: { sleep_ms: 1e8 } } });
  const mounts = await trainMounts(stage);
  const short = await stage.spec('train', mounts, { wallMs: 5 });
  t.is((await stage.runtime.run(short, stage.calls)).ended, 'timed_out');
  const reason = new Error('The order was cancelled');
  const controller = new AbortController();
  const aborted = stage.runtime.run(await stage.spec('train', mounts), {
    ...stage.calls,
    signal: controller.signal,
  });
  controller.abort(reason);
  t.is(await t.throwsAsync(aborted), reason);
  const closed = stage.runtime.run(await stage.spec('train', mounts), stage.calls);
  const [error] = await Promise.all([t.throwsAsync(closed), stage.runtime[Symbol.asyncDispose]()]);
  t.like(error, { code: 'unavailable' });
});

test('A caller that does not keep to the contract is told so', async (t) => {
  await using stage = await openStage();
  const spec = await stage.spec('train', await trainMounts(stage));
  const wrong = { message: /^The caller of the container runtime is wrong/ };
  const { run } = { run: (changed: object) => stage.runtime.run({ ...spec, ...changed }, stage.calls) };
  await t.throwsAsync(run({ image: { reference: 'x', cached: true } }), wrong);
  await t.throwsAsync(
    run({ mounts: [{ host: '/nowhere', container: '/data/train', readOnly: true }] }),
    wrong,
  );
  await t.throwsAsync(run({}), wrong, 'the scratch folder was used');
  await t.throwsAsync(stage.runtime.recover(), undefined);
  t.is(stage.runtime.misuses.length, 4);
});

test('A build context without a Dockerfile, or with a broken dummy.json, fails to build', async (t) => {
  await using stage = await openStage({}, { train: { exti: 1 } });
  const error = await t.throwsAsync(stage.runtime.prepare(stage.context, stage.calls), {
    instanceOf: OrderFailure,
  });
  t.regex(error.message, /dummy\.json cannot be used.*exti/s);
  const gone = stage.runtime.prepare({ digest: 'b', folder: stage.box }, stage.calls);
  t.regex((await t.throwsAsync(gone, { instanceOf: OrderFailure })).message, /no Dockerfile/);
});
