import { randomUUID } from 'node:crypto';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import { learnuplet, type OrderKind, preduplet } from '@morpheo/common';
import { type DummyRuntime, openDummyRuntime, startWorker } from '@morpheo/compute-worker';
import { startNsqd, withParts } from '@morpheo/real-parts';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { openNsqBroker } from '@morpheo/service/broker';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { type Platform, startPlatform } from '../platform.ts';
import { uploadData, uploadModel, uploadThing } from '../scenarios/uploads.ts';
import { readOrMakeSecrets } from '../secrets.ts';

const test = withParts(ava, 'nsq');

const ORDERS = 100;
const SLOTS = { learn: 4, predict: 4 };
/** The step that an order of a kind runs once. */
const STEPS: Readonly<Record<OrderKind, string>> = { learn: 'train', predict: 'predict', job: 'job' };

/** Half trainings, half predictions, over what it uploads first. */
async function makeOrders({ storage }: Platform) {
  const archive = rawTarGz([{ name: 'Dockerfile', body: 'FROM scratch\nENTRYPOINT ["it"]\n' }]);
  const names = { name: 'a thing' };
  const workflow = await uploadThing(storage, 'problem', { ...names, description: 'of the test' }, archive);
  const algo = await uploadThing(storage, 'algo', names, archive);
  const data = await uploadData(storage);
  const packed = rawTarGz([{ name: 'model_trained.json', body: '{}' }]);
  const model = await uploadModel(storage, algo, new Uint8Array(packed));
  const uses = { problem: randomUUID(), workflow, status: 'todo' };
  return Array.from({ length: ORDERS }, (_, n) => {
    const uplet = { ...uses, uuid: randomUUID() };
    if (n % 2 === 1) return preduplet.parse({ ...uplet, model, data });
    const sets = { train_data: [data], test_data: [data] };
    return learnuplet.parse({ ...uplet, ...sets, algo, rank: 0, model_end: randomUUID() });
  });
}

test(`With our three services, two workers lose none of ${ORDERS} orders, and run none twice`, async (t) => {
  await using stack = new AsyncDisposableStack();
  const nsqd = stack.use(await startNsqd());
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-hundred-')));
  const openBroker = () => openNsqBroker({ nsqds: [nsqd.tcp], log: silentLog });
  const runtimes: DummyRuntime[] = [];
  const openRuntime = async (): Promise<DummyRuntime> => {
    const runtime = openDummyRuntime();
    runtimes.push(runtime);
    return runtime;
  };
  const platform = stack.use(
    await startPlatform({
      ...{ folder: folder.path, slots: SLOTS, parts: { openBroker }, openRuntime, log: silentLog },
    }),
  );
  const credentials = { name: 'worker', secret: (await readOrMakeSecrets(folder.path)).worker };
  const { storage, compute } = platform.connection;
  stack.use(
    await startWorker({
      compute: computeClient({ url: compute, credentials }),
      openStorage: (token) => storageClient({ url: storage, credentials, token }),
      ...{ broker: stack.use(openBroker()), runtime: stack.use(await openRuntime()) },
      ...{ folder: join(folder.path, 'another'), name: 'another', slots: SLOTS, log: silentLog },
    }),
  );

  const orders = await makeOrders(platform);
  for (const order of orders)
    await ('algo' in order
      ? platform.compute.learn({ body: order })
      : platform.compute.pred({ body: order }));
  await eventually(t, async (again) => {
    again.deepEqual((await platform.compute.getQueue({})).counts, { done: ORDERS });
  });

  const runs = runtimes.flatMap(({ calls }) => calls);
  for (const { uuid } of orders) {
    const { kind, attempt, result } = await platform.compute.getOrder({ params: { id: uuid } });
    t.is(attempt, 1);
    t.is(runs.filter(({ step, spec }) => step === STEPS[kind] && spec?.labels.order === uuid).length, 1);
    const type = kind === 'learn' ? 'model' : 'prediction';
    await t.notThrowsAsync(platform.storage.get({ params: { type, uuid: result?.uuid ?? '' } }));
  }
  t.true(runtimes.every(({ calls }) => calls.length > 0));
});
