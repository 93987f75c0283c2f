import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient } from '@morpheo/client';
import { readiness } from '@morpheo/common';
import { type NsqServer, startNsqd, withParts } from '@morpheo/real-parts';
import { openNsqBroker } from '@morpheo/service/broker';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { start } from './start.ts';
import { aLearnuplet, aPreduplet } from './testing/orders.ts';
import { openPinningStorage } from './testing/pinning-storage.ts';

const test = withParts(ava, 'nsq');

async function openService(broker: readonly string[]) {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-compute-nsq-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  const { url: at } = stack.use(await openPinningStorage());
  const storage = ['--storage', at, '--storage-user', 'u', '--storage-password', 'p'];
  const own = ['--data-dir', folder, '--port', '0', '--insecure-open', '--log-level', 'error'];
  const service = await start([...own, ...storage, '--broker', 'nsq', ...broker], {});
  if (service === undefined) throw new Error('it did not start');
  stack.use(service);
  const url = String(service.ready?.url);
  const opened = stack.move();
  const answer = async () => readiness.parse(await (await fetch(`${url}/ready`)).json()).dependencies;
  return {
    api: computeClient({ url }),
    /** What `/ready` says of the broker; undefined while all is well. */
    problem: async () => (await answer()).find(({ name }) => name === 'broker')?.problem,
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** Hears an nsqd's orders as a worker does. */
async function hear(nsqd: NsqServer, topic: string, messages: string[]) {
  const broker = openNsqBroker({
    nsqds: [nsqd.tcp],
    times: { publishMs: 60_000, handshakeMs: 60_000 },
    log: silentLog,
  });
  await broker.subscribe({
    topic,
    channel: 'compute',
    handle: async (message) => void messages.push(message),
  });
  return broker;
}

test('Orders are published as the originals publish them', async (t) => {
  await using nsqd = await startNsqd();
  const [host = '', port = ''] = nsqd.tcp.split(':');
  await using service = await openService(['-broker-host', host, '-broker-port', port]);
  const [trainings, predictions]: [string[], string[]] = [[], []];
  await using _train = await hear(nsqd, 'train', trainings);
  await using _predict = await hear(nsqd, 'prediction', predictions);
  const learn = aLearnuplet({ rank: 0 });
  const pred = aPreduplet({ timestamp_request: 1_508_515_000, prediction_storage_uuid: randomUUID() });
  await service.api.learn({ body: learn });
  await service.api.pred({ body: pred });
  // Again after a while, since nobody claims them.
  const different = () => [trainings, predictions].map((messages) => new Set(messages).size);
  await eventually(t, (again) => again.deepEqual(different(), [1, 1]));
  const nil = '00000000-0000-0000-0000-000000000000';
  t.is(
    trainings[0],
    `{"Checkable":null,"uuid":"${learn.uuid}","problem":"${learn.problem}","workflow":"${learn.workflow}",` +
      `"train_data":["${learn.train_data[0]}"],"test_data":["${learn.test_data[0]}"],"algo":"${learn.algo}",` +
      `"model_start":"${nil}","model_end":"${learn.model_end}","rank":0,"worker":"${nil}","status":"todo",` +
      `"timestamp_request":0,"timestamp_done":0}`,
  );
  t.is(
    predictions[0],
    `{"Checkable":null,"uuid":"${pred.uuid}","problem":"${pred.problem}","workflow":"${pred.workflow}",` +
      `"model":"${pred.model}","data":"${pred.data}","worker":"${nil}","status":"todo",` +
      `"timestamp_request":1508515000,"timestamp_done":0,"prediction_storage_uuid":"${pred.prediction_storage_uuid}"}`,
  );
  t.is(await service.problem(), undefined);
});

test('An nsqd that was killed, wiped or frozen costs no order', async (t) => {
  await using nsqd = await startNsqd();
  await using service = await openService(['--nsqd', nsqd.tcp]);
  const placed: string[] = [];
  const place = async (count: number) => {
    for (let n = 0; n < count; n += 1) {
      const from = performance.now();
      const body = aLearnuplet();
      await service.api.learn({ body });
      placed.push(body.uuid);
      t.true(performance.now() - from < 5000, 'nobody waits for the broker');
    }
  };
  await place(5);
  await nsqd.kill();
  await place(20);
  t.regex(
    String(await service.problem()),
    /^nsqd at .* refuses connections \(.*\): start it, or correct the address/,
  );
  await nsqd.start();
  await place(5);
  await nsqd.wipe();
  await nsqd.start();
  await place(5);
  await nsqd.freeze();
  await place(20);
  t.regex(String(await service.problem()), /^nsqd at .* says nothing .*frozen/);
  await nsqd.thaw();
  await eventually(t, async (again) => again.is(await service.problem(), undefined));
  const isChecked = async (): Promise<boolean> => {
    const { total } = await service.api.listOrders({ query: { status: 'waiting' } });
    return total === 0;
  };
  await eventually(t, async (again) => again.true(await isChecked()));
  const worker = await registered(service.api);
  const claimed: string[] = [];
  for (let claim = await worker(); claim !== null; claim = await worker()) claimed.push(claim.order);
  t.deepEqual(new Set(claimed), new Set(placed));
});

test('Orders that nsqd lost are published again', async (t) => {
  await using nsqd = await startNsqd();
  await nsqd.kill();
  await using service = await openService(['--nsqd', nsqd.tcp]);
  const bodies = [aLearnuplet(), aLearnuplet(), aLearnuplet()];
  for (const body of bodies) await service.api.learn({ body });
  t.regex(String(await service.problem()), /refuses connections/);
  await nsqd.start();
  const messages: string[] = [];
  await using _heard = await hear(nsqd, 'train', messages);
  await eventually(t, (again) => {
    for (const { uuid } of bodies) again.true(messages.some((message) => message.includes(uuid)));
  });
});

test('Orders for workers of the original are published once, and not before nsqd has come', async (t) => {
  await using nsqd = await startNsqd();
  await nsqd.kill();
  await using service = await openService(['--nsqd', nsqd.tcp, '--foreign-workers']);
  const bodies = [aLearnuplet(), aLearnuplet(), aLearnuplet()];
  for (const body of bodies) await service.api.learn({ body });
  await eventually(t, async (again) => again.regex(String(await service.problem()), /refuses connections/));
  await nsqd.start();
  const messages: string[] = [];
  await using _heard = await hear(nsqd, 'train', messages);
  for (const { uuid: id } of bodies) {
    const onQueue = async () => (await service.api.whyOrder({ params: { id } })).sentence;
    await eventually(t, async (again) => again.regex(await onQueue(), /^It is on the queue/));
  }
  await eventually(t, (again) => again.true(messages.length >= bodies.length));
  t.is(messages.length, bodies.length);
});

test('With one of two nsqds frozen the service is ready', async (t) => {
  await using one = await startNsqd();
  await using other = await startNsqd();
  await using service = await openService(['--nsqd', one.tcp, '--nsqd', other.tcp]);
  const messages: string[] = [];
  await using _heard = await hear(other, 'train', messages);
  await one.freeze();
  const bodies = Array.from({ length: 10 }, () => aLearnuplet());
  for (const body of bodies) await service.api.learn({ body });
  await eventually(t, (again) => again.true(messages.length >= bodies.length));
  t.is(await service.problem(), undefined);
});

/** Claims as a worker that was just registered. */
async function registered(api: ReturnType<typeof computeClient>) {
  const [worker, boot] = [randomUUID(), randomUUID()];
  const slots = { learn: 1, predict: 1 };
  await api.registerWorker({ params: { worker }, body: { boot, name: 'test', runtime: 'none', slots } });
  return async () => {
    const { claim } = await api.claimOrder({ params: { worker }, body: { boot, kinds: ['learn'] } });
    return claim;
  };
}
