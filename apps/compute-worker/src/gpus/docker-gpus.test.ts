import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type Dind, openSharedDind, type SharedDind, startDind, withParts } from '@morpheo/real-parts';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { eventually } from '@morpheo/service/testing';
import anyTest, { type TestFn } from 'ava';
import { openDockerRuntime } from '../runtime/docker/index.ts';
import { leftovers, optionsFor, workerOf } from '../runtime/docker/testing/harness.ts';
import type { ContainerRuntime, Gpu } from '../runtime/index.ts';
import { MemoryCompute, type TestOrder } from '../testing/memory-compute.ts';
import { failureOf, modelArchive, openTestWorker } from '../testing/test-worker.ts';

const test = withParts(anyTest as TestFn, 'docker');
const IMAGE = 'busybox:1.36';
const SLOTS = { learn: 3, predict: 3 };
let started: Promise<Dind> | undefined;

anyTest.after.always(async () => await (await started)?.[Symbol.asyncDispose]());

/** A daemon with two GPUs, for all tests of this file. */
async function dindWithGpus(): Promise<Dind> {
  started ??= startDind({ gpus: 'fake' });
  return await started;
}

test.beforeEach((t) => t.timeout(300_000, 'the first daemon of a machine makes the images'));

/** The archive of an algorithm that prints which GPUs it sees, and predicts nothing but that. */
function algorithm(extra = '', wait = ''): Buffer {
  const script = [
    '#!/bin/sh',
    'echo "sees: $(cd /dev && echo nvidia[0-9]*)"',
    'nvidia-smi --query-gpu=index,uuid,name,memory.total --format=csv,noheader 2>&1',
    wait,
    'mkdir -p /data/test/pred; for f in /data/test/*; do if [ -f "$f" ]; then cp "$f" /data/test/pred/; fi; done',
  ].join('\n');
  return rawTarGz([
    {
      name: 'Dockerfile',
      body: `FROM ${IMAGE}\n# ${randomUUID()}\n${extra}\nCOPY run /run.sh\nENTRYPOINT ["sh", "/run.sh"]\n`,
    },
    { name: 'run', body: `${script}\n` },
  ]);
}

/** A setup whose containers run in the daemon. */
async function openDockerBench(dind: SharedDind, options: Parameters<typeof openTestWorker>[0] = {}) {
  const openRuntime = async (folder: string) => await dockerRuntime(dind, folder);
  return await openTestWorker({ slots: SLOTS, pollMs: 50, ...options, openRuntime });
}

async function dockerRuntime(dind: SharedDind, folder: string): Promise<ContainerRuntime> {
  const choice = { data: 'archive', gpuProbeImage: IMAGE } as const;
  return await openDockerRuntime(optionsFor(hostOf(dind), folder, choice));
}

function hostOf({ socketPath }: SharedDind): string {
  return `unix://${socketPath}`;
}

/** Places an order for a prediction by the algorithm. */
function predict(
  { storage, predict }: Awaited<ReturnType<typeof openTestWorker>>,
  archive: Buffer,
  gpus?: number,
): TestOrder {
  const algo = storage.put('algo', archive);
  const model = storage.put('model', modelArchive({ 'model_trained.json': '{}' }), { algo });
  return predict({ model, ...(gpus === undefined ? {} : { gpus }) });
}

/** The devices that the algorithm of an order saw, as its log has it; undefined while it has not said. */
function seen(order: TestOrder): string | undefined {
  return /sees: (.*)/.exec(order.log.map(({ text }) => text).join(''))?.[1];
}

test.serial('A worker finds the GPUs of its daemon', async (t) => {
  const dind = await dindWithGpus();
  const folder = join(dind.jobs, 'worker');
  await using runtime = await dockerRuntime(dind, folder);
  for (const insist of [true, false]) {
    const gpus = await runtime.gpus?.({ insist, signal: AbortSignal.timeout(60_000) });
    const gpu = { name: 'Fake GPU', memoryBytes: 81_920 * 1024 ** 2 };
    t.deepEqual(
      gpus,
      [0, 1].map((index) => ({ index, id: `GPU-fake-${index}`, ...gpu })),
    );
  }
  t.deepEqual(await leftovers(hostOf(dind), workerOf(folder)), []);
});

test.serial('Two orders at once have a GPU each and the third waits [R29]', async (t) => {
  const dind = await dindWithGpus();
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 50 };
  await using setup = await openDockerBench(dind, { compute });
  const orders = [1, 2, 3].map(() => predict(setup, algorithm('', 'sleep 600'), 1));
  const said = () => orders.map(seen).filter((devices) => devices !== undefined);
  await eventually(t, (inner) => inner.is(said().length, 2));
  t.deepEqual(said().toSorted(byText), ['nvidia0', 'nvidia1']);
  const running = orders.filter(({ status }) => status === 'pending');
  t.is(running.length, 2);
  for (const order of running) order.status = 'cancelled';
  await eventually(t, (inner) => inner.is(said().length, 3));
  t.regex(said().join(' '), /^(nvidia[01] ?){3}$/);
});

test.serial('An order without GPUs sees none, whatever its image asks for [R29]', async (t) => {
  const dind = await dindWithGpus();
  await using setup = await openDockerBench(dind);
  const none = predict(setup, algorithm('ENV NVIDIA_VISIBLE_DEVICES=all'));
  const one = predict(setup, algorithm('ENV NVIDIA_VISIBLE_DEVICES=all'), 1);
  const both = predict(setup, algorithm('ENV NVIDIA_VISIBLE_DEVICES=0'), 2);
  await setup.worker.settle();
  t.is(seen(none), 'nvidia[0-9]*');
  t.regex(seen(one) ?? '', /^nvidia[01]$/);
  t.is(seen(both), 'nvidia0 nvidia1');
});

test.serial('A worker of a daemon without GPUs has none and leaves nothing behind', async (t) => {
  await using dind = await openSharedDind();
  const folder = join(dind.jobs, randomUUID());
  await using runtime = await dockerRuntime(dind, folder);
  const signal = AbortSignal.timeout(60_000);
  t.deepEqual(await runtime.gpus?.({ insist: false, signal }), []);
  const error = await t.throwsAsync(async () => await runtime.gpus?.({ insist: true, signal }), {
    code: 'unavailable',
  });
  t.regex(error?.message ?? '', /could not select device driver/);
  t.deepEqual(await leftovers(hostOf(dind), workerOf(folder)), []);
});

test.serial(
  'A GPU that is not handed over is the fault of the platform and leaves no container [R30]',
  async (t) => {
    const dind = await dindWithGpus();
    const gone: Gpu = { index: 9, id: 'GPU-fake-9', name: 'Fake GPU', memoryBytes: 0 };
    let folder = '';
    const openRuntime = async (own: string) => {
      folder = own;
      const runtime = await dockerRuntime(dind, own);
      return Object.assign(runtime, { gpus: async () => [gone] });
    };
    await using setup = await openTestWorker({ slots: SLOTS, openRuntime });
    const order = predict(setup, algorithm(), 1);
    await setup.worker.settle();
    const failure = failureOf(order, 'error');
    t.like(failure, { reason: 'internal', step: 'predict' });
    t.regex(failure.message, /did not hand over GPU GPU-fake-9: .*unknown device/);
    t.deepEqual(await leftovers(hostOf(dind), workerOf(folder)), []);
  },
);

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}
