import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Preduplet, preduplet } from '@morpheo/common';
import { openDockerRuntime } from '@morpheo/compute-worker/docker';
import { type Dind, startDind, withParts } from '@morpheo/real-parts';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import anyTest, { type TestFn } from 'ava';
import { type Platform, startPlatform } from '../platform.ts';
import { uploadData, uploadModel, uploadThing } from './uploads.ts';

const test = withParts(anyTest as TestFn, 'docker');
const IMAGE = 'busybox:1.36';

test('Orders get a GPU each, wait for one, or are told that there will be none', async (t) => {
  t.timeout(300_000, 'the first daemon of a machine makes the images');
  await using dind = await startDind({ gpus: 'fake' });
  await using bench = await openPlatform(dind);
  const { compute } = bench.platform;
  const predict = await predictor(bench.platform);
  const [first, second, third, big] = [
    await predict(1),
    await predict(1),
    await predict(1),
    await predict(3),
  ];
  const why = async (id: string) => await compute.whyOrder({ params: { id } });
  const log = async (id: string) => await textOf(bench.platform, id);
  await eventually(t, async (inner) => {
    for (const id of [first, second]) inner.regex(await log(id), /sees/);
  });

  const [worker] = (await compute.listWorkers({})).items;
  t.is(worker?.gpus.leased, 2);
  t.deepEqual(
    worker?.gpus.devices.map(({ id }) => id),
    ['GPU-fake-0', 'GPU-fake-1'],
  );
  t.deepEqual(
    new Set(worker?.running.map(({ order, gpus }) => `${order} ${gpus}`)),
    new Set([`${first} 1`, `${second} 1`]),
  );
  t.like(await why(third), {
    code: 'gpus_busy',
    sentence: 'It asks for 1 GPU; the worker with most to spare has 0 of its 2 free.',
  });
  const { code, sentence } = await why(big);
  t.is(code, 'too_few_gpus');
  t.regex(sentence, /^It asks for 3 GPUs; the worker with most has 2\./);

  for (const id of [first, second]) await compute.cancelOrder({ params: { id } });
  const seen = async (id: string) => /sees (\S+)/.exec(await log(id))?.[1];
  await eventually(t, async (inner) => inner.regex((await seen(third)) ?? '', /^nvidia[01]$/));
  t.deepEqual(new Set([await seen(first), await seen(second)]), new Set(['nvidia0', 'nvidia1']));
  t.is((await compute.getOrder({ params: { id: big } })).status, 'todo');
});

async function openPlatform(dind: Dind) {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-gpus-'));
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const docker = { host: `unix://${dind.socketPath}`, data: 'archive', gpuProbeImage: IMAGE } as const;
  const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const openRuntime = async (folder: string) =>
    await openDockerRuntime({ worker: randomUUID(), folder, user, log: silentLog, ...docker });
  const slots = { learn: 1, predict: 4 };
  const worker = { pollMs: 100 };
  const platform = stack.use(await startPlatform({ folder, openRuntime, slots, worker, log: silentLog }));
  const opened = stack.move();
  return { platform, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

/** Orders predictions by an algorithm that prints which GPUs it sees, and goes on until it is cancelled. */
async function predictor({ storage, compute }: Platform): Promise<(gpus: number) => Promise<string>> {
  const run = 'echo "sees $(cd /dev && echo nvidia[0-9]*)"; sleep 600';
  const archive = rawTarGz([
    { name: 'Dockerfile', body: `FROM ${IMAGE}\nCOPY run.sh /run.sh\nENTRYPOINT ["sh", "/run.sh"]\n` },
    { name: 'run.sh', body: `${run}\n` },
  ]);
  const algo = await uploadThing(storage, 'algo', { name: 'sees' }, archive);
  const packed = rawTarGz([{ name: 'model_trained.json', body: '{}' }]);
  const model = await uploadModel(storage, algo, new Uint8Array(packed));
  const data = await uploadData(storage);
  return async (gpus) => {
    const ids = { uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID(), model, data };
    const order: Preduplet = preduplet.parse({ ...ids, status: 'todo', gpus });
    await compute.pred({ body: order });
    return order.uuid;
  };
}

/** What an order has printed so far. */
async function textOf({ compute }: Platform, id: string): Promise<string> {
  const { body } = await compute.orderLog({ params: { id }, query: {} });
  return body === undefined ? '' : await new Response(body).text();
}
