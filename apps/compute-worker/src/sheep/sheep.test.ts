import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Job } from '@morpheo/common';
import { freePort, requireProgram, withParts } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import type { BareSheep } from '@morpheo/service/shepherd';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext } from 'ava';
import type { Gpu } from '../runtime/index.ts';
import { openProcessRuntime } from '../runtime/process/index.ts';
import { failureOf, openTestWorker, resultOf } from '../testing/test-worker.ts';

const MODEL = join(import.meta.dirname, '../../../../examples/shepherd/models/zeromq/model.py');

/** Tells how it was started, and is the model of the examples. */
const RUNNER = `#!/bin/sh
echo "started: $* in $(pwd) with $CUDA_VISIBLE_DEVICES, $GREETING and $MORPHEO_SECRET."
exec "$PYTHON" "$MODEL" "$@"
`;

const sheepOf = (members: Partial<BareSheep>): BareSheep => ({
  ...{ id: 'one', type: 'bare', port: 1, gpus: [], program: ['shepherd-runner'], workingDirectory: '/' },
  ...{ stdoutFile: undefined, stderrFile: undefined },
  ...members,
});

async function openSheep(t: ExecutionContext, members: Partial<BareSheep> = {}, machineGpus: Gpu[] = []) {
  const { path: folder, ...disposable } = await temporaryFolder();
  t.teardown(async () => await disposable[Symbol.asyncDispose]());
  for (const version of ['1', '2']) {
    await mkdir(join(folder, 'ocr', version), { recursive: true });
    await writeFile(join(folder, 'ocr', version, 'config.yaml'), '');
  }
  await writeFile(join(folder, 'shepherd-runner'), RUNNER);
  await chmod(join(folder, 'shepherd-runner'), 0o755);
  const port = await freePort();
  const files = { stdoutFile: join(folder, 'logs/out'), stderrFile: join(folder, 'logs/err') };
  const one = sheepOf({ port, workingDirectory: folder, ...files, ...members });
  const setup = await openTestWorker({
    openRuntime: async (own) =>
      Object.assign(await openProcessRuntime({ folder: own, log: silentLog }), {
        gpus: async () => machineGpus,
      }),
    slots: { learn: 1, predict: 1, job: 4 },
    pollMs: 20,
    labels: { zone: 'a' },
    sheep: {
      sheep: [one, sheepOf({ id: 'two', port: port + 1 })],
      environment: {
        ...{ PATH: `${folder}:/usr/bin:/bin`, PYTHON: requireProgram('python3-zmq'), MODEL },
        ...{ GREETING: 'hello', MORPHEO_SECRET: 'hidden', NOTHING: undefined },
      },
    },
  });
  t.teardown(async () => await setup[Symbol.asyncDispose]());
  const job = (payload: unknown, version = '1', more: Partial<Job> = {}) =>
    setup.job({
      ...{ algo: undefined, sheep: { id: 'one', name: 'ocr', version }, warm: 'zeromq' },
      inputs: [{ path: '/in/input', inline: Buffer.from(JSON.stringify(payload)).toString('base64') }],
      ...more,
    });
  return { setup, job, folder, port };
}

const test = withParts(ava, 'pyzmq');

test('A worker offers the sheep of its operator, and a bare one answers jobs by the program that lies here', async (t) => {
  const { setup, job, folder, port } = await openSheep(t);
  const first = job({ input: 1 });
  await setup.worker.settle();
  t.like(setup.compute.registrations[0], {
    labels: { zone: 'a', 'sheep.one': 'bare', 'sheep.two': 'bare' },
  });
  const second = job({ input: 2 });
  await setup.worker.settle();
  for (const [order, answer, reused] of [
    [first, '{"result": 1}', 0],
    [second, '{"result": 2}', 1],
  ] as const) {
    t.is(resultOf(order).uuid, order.spec.uplet.output ?? '');
    const staged = setup.storage.staged.get(`${order.id}.1`)?.bytes.toString('latin1') ?? '';
    t.true(staged.includes(answer), staged);
    t.deepEqual(
      order.steps.filter(({ step }) => step === 'job').map((step) => step.reused),
      [reused],
    );
  }
  const said = await readFile(join(folder, 'logs/out'), 'utf8');
  t.is(said, `started: -p ${port} ocr/1/config.yaml in ${folder} with , hello and .\nthe model is loaded\n`);
  t.is(await readFile(join(folder, 'logs/err'), 'utf8'), '');
  const shown = setup.worker.runners.list();
  t.like(shown, [{ shown: { image: 'one/ocr:1' }, calls: 2, protocol: 'zeromq' }]);
});

test('A sheep has one model at a time, and goes on to the other that is asked', async (t) => {
  const { setup, job, folder } = await openSheep(t);
  const orders = [job({ input: 1 }), job({ input: 2 }, '2'), job({ fail: 'why' }), job({ input: 3 })];
  await setup.worker.settle();
  const [one, two, three, four] = orders;
  for (const order of [one, two, four]) t.truthy(order && resultOf(order));
  t.regex(three === undefined ? '' : failureOf(three).message, /ValueError: why/);
  const said = await readFile(join(folder, 'logs/out'), 'utf8');
  t.true((said.match(/started/g)?.length ?? 0) >= 3, said);
  t.true(setup.worker.runners.list().length <= 1);
});

test('A model that a sheep does not have, and a port that is taken, are told', async (t) => {
  const { setup, job, port } = await openSheep(t);
  const missing = job({ input: 1 }, '3');
  await setup.worker.settle();
  t.like(failureOf(missing), { reason: 'input_not_found' });
  t.regex(failureOf(missing).message, /The sheep one has no model ocr:3: there is no ocr\/3\/config\.yaml/);
  const other = createServer((socket) => void socket.resume());
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  t.teardown(() => other.close());
  const order = job({ input: 1 });
  await eventually(t, (inner) => inner.is(order.reports.length, 1));
  t.regex(JSON.stringify(order.reports), new RegExp(`Port ${port} of this machine`));
});

test("A program that is none of Shepherd's knows its models itself", async (t) => {
  const { setup, job } = await openSheep(t, { program: [requireProgram('python3-zmq'), MODEL] });
  const order = job({ input: 1 }, '3');
  await setup.worker.settle();
  t.is(resultOf(order).uuid, order.spec.uplet.output ?? '');
});

test('A program that is not there is told', async (t) => {
  const { setup, job } = await openSheep(t, { program: ['not-there'] });
  const order = job({ input: 1 });
  await setup.worker.settle();
  t.regex(JSON.stringify(failureOf(order)), /not-there: not found/);
});

test('The devices of a sheep are GPUs that its program is lent', async (t) => {
  const { setup, job, folder } = await openSheep(t, { gpus: [0] });
  const none = job({ input: 1 });
  await setup.worker.settle();
  t.like(failureOf(none), { reason: 'out_of_memory' });
  t.regex(failureOf(none).message, /1 GPUs/);
  t.is(await readFile(join(folder, 'logs/out'), 'utf8').catch(() => ''), '');

  const gpu = { index: 0, id: 'GPU-0', name: 'H', memoryBytes: 0 };
  const lent = await openSheep(t, { gpus: [0] }, [gpu]);
  lent.job({ input: 1 });
  await lent.setup.worker.settle();
  t.regex(await readFile(join(lent.folder, 'logs/out'), 'utf8'), /with GPU-0, hello/);
});
