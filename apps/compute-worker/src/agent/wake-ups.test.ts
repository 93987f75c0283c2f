import { PlatformError, readiness } from '@morpheo/common';
import { startNsqd, startNsqlookupd, withParts } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { openMemoryBroker, openNsqBroker } from '@morpheo/service/broker';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import fc from 'fast-check';
import { z } from 'zod';
import { type DummyBehaviour, openDummyRuntime } from '../runtime/dummy/index.ts';
import { start } from '../start.ts';
import { MemoryCompute } from '../testing/memory-compute.ts';
import { openTestWorker, reportOf } from '../testing/test-worker.ts';

/** A busy machine takes its time. */
const times = { publishMs: 60_000, handshakeMs: 60_000, subscribeMs: 60_000 };
const test = withParts(ava, 'nsq');
const log = silentLog;
const FOR_LONG: DummyBehaviour = { sleep_ms: 600_000 };

test('A message wakes the worker that nsqlookupd leads to nsqd', async (t) => {
  await using lookupd = await startNsqlookupd();
  await using nsqd = await startNsqd({ lookupds: [lookupd.tcp] });
  await using broker = openNsqBroker({ lookupds: [lookupd.http], nsqdHttps: [nsqd.http], times, log });
  await using publisher = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
  await using setup = await openTestWorker({ broker });
  await setup.worker.settle();
  const trained = setup.learn();
  await publisher.publish('train', JSON.stringify(trained.spec.uplet));
  await eventually(t, (again) => again.is(reportOf(trained).outcome, 'done'));
  const predicted = setup.predict();
  await publisher.publish('prediction', JSON.stringify(predicted.spec.uplet));
  await eventually(t, (again) => again.is(reportOf(predicted).outcome, 'done'));
});

test('Whatever others put on its topics, a worker does its orders and no message stays', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
  await using setup = await openTestWorker({ broker });
  await setup.worker.settle();
  const foreign = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 2000 }), fc.json().map(Buffer.from));
  const bodies = [Buffer.alloc(900_000, '{'), ...fc.sample(foreign, 150)];
  const topics = ['train', 'prediction', 'cancel'];
  for (const [index, bytes] of bodies.entries()) {
    const to = `http://${nsqd.http}/pub?topic=${topics[index % topics.length]}`;
    t.is((await fetch(to, { method: 'POST', body: new Uint8Array(bytes) })).status, 200);
  }
  const order = setup.learn();
  await fetch(`http://${nsqd.http}/pub?topic=train`, { method: 'POST', body: 'ours' });
  await eventually(t, (again) => again.is(reportOf(order).outcome, 'done'));
  const stats = z.object({
    topics: z.array(
      z.object({
        channels: z.array(z.object({ depth: z.int(), in_flight_count: z.int() })),
      }),
    ),
  });
  await eventually(
    t,
    async (again) => {
      const answer = stats.parse(await (await fetch(`http://${nsqd.http}/stats?format=json`)).json());
      const channels = answer.topics.flatMap((topic) => topic.channels);
      again.true(channels.length >= 3);
      again.deepEqual(
        channels.filter((one) => one.depth + one.in_flight_count > 0),
        [],
      );
    },
    60_000,
  );
  t.is(order.reports.length, 1);
});

test('A cancellation that arrives by NSQ stops what runs, and leaves no channel', async (t) => {
  await using nsqd = await startNsqd();
  await using publisher = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
  {
    await using broker = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
    await using setup = await openTestWorker({ broker, script: { train: FOR_LONG } });
    await setup.worker.settle();
    const order = setup.learn();
    await publisher.publish('train', 'any');
    await eventually(t, (again) => again.true(order.started.includes('train')));
    order.status = 'cancelled';
    await publisher.publish('cancel', order.id);
    await setup.worker.settle();
    t.is(order.reports.length, 0);
  }
  await eventually(t, async (again) => {
    const answer = await (await fetch(`http://${nsqd.http}/stats?format=json&topic=cancel`)).text();
    again.false(answer.includes('worker-'));
  });
});

test('A worker that compute-api does not know yet leaves every message to others', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
  await using publisher = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
  const compute = new MemoryCompute();
  compute.fault = (call) => (call === 'registerWorker' ? new PlatformError('not_found', '404') : undefined);
  // It asks by itself long after this test: a message alone brings the order.
  await using setup = await openTestWorker({ broker, compute, pollMs: 600_000 });
  await eventually(t, (again) => again.true(compute.count('registerWorker') >= 2));
  await publisher.publish('train', 'for whoever can use it');
  const topic = async () => await (await fetch(`http://${nsqd.http}/stats?format=json&topic=train`)).text();
  t.regex(await topic(), /"channels":\[\],"depth":1,/);
  compute.fault = () => undefined;
  const order = setup.learn();
  await eventually(t, (again) => again.is(reportOf(order).outcome, 'done'));
  await eventually(t, async (again) => again.regex(await topic(), /"channel_name":"compute","depth":0,/));
});

test('A worker whose runtime can run nothing leaves messages to others until it can', async (t) => {
  await using broker = openMemoryBroker();
  const faults = new Set([new PlatformError('unavailable', 'Docker is away.')]);
  const dummy = openDummyRuntime();
  const ping = async () => {
    for (const fault of faults) throw fault;
  };
  const openRuntime = async () => Object.assign(dummy, { ping });
  await using setup = await openTestWorker({ broker, openRuntime });
  await eventually(t, (again) =>
    again.true(setup.log.entries.some(({ message }) => /can run nothing/.test(message))),
  );
  await setup.worker.settle();
  const heard: string[] = [];
  const handle = async (message: string) => void heard.push(message);
  await using _other = await broker.subscribe({ topic: 'train', channel: 'compute', handle });
  for (let n = 0; n < 10; n += 1) await broker.publish('train', `${n}`);
  await eventually(t, (again) => again.is(heard.length, 10));
  faults.clear();
  await setup.worker.settle();
  const order = setup.learn();
  await eventually(t, async (again) => {
    await broker.publish('train', 'an order');
    again.is(reportOf(order).outcome, 'done');
  });
});

test('While NSQ is away, frozen or wiped the worker finds orders by polling', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
  await using setup = await openTestWorker({ broker, pollMs: 50 });
  for (const harm of [nsqd.freeze, nsqd.kill, nsqd.wipe]) {
    await harm();
    const order = setup.learn();
    await eventually(t, (again) => again.is(reportOf(order).outcome, 'done'));
  }
});

test('A worker without room leaves messages to others', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
  await using other = openNsqBroker({ nsqds: [nsqd.tcp], times, log });
  await using setup = await openTestWorker({ broker, slots: { learn: 0, predict: 1 } });
  await setup.worker.settle();
  const heard: string[] = [];
  const handle = async (message: string) => void heard.push(message);
  await other.subscribe({ topic: 'train', channel: 'compute', handle });
  for (let n = 0; n < 10; n += 1) await other.publish('train', `${n}`);
  await eventually(t, (again) => again.is(heard.length, 10));
});

test('A worker whose NSQ is away starts, and says why it is not ready', async (t) => {
  await using nsqd = await startNsqd();
  await nsqd.kill();
  await using folder = await temporaryFolder();
  const nowhere = 'http://127.0.0.1:9';
  const places = ['--data-dir', folder.path, '--compute', nowhere, '--storage', nowhere, '--port', '0'];
  const quiet = ['--runtime', 'process', '--log-level', 'error'];
  await using service = await start([...places, ...quiet, '--nsqd', nsqd.tcp], {});
  const problem = async () => {
    const answer = await fetch(`${String(service?.ready?.url)}/ready`);
    const { dependencies } = readiness.parse(await answer.json());
    return dependencies.find(({ name }) => name === 'broker')?.problem;
  };
  t.regex(String(await problem()), /^nsqd at .* refuses connections/);
  await nsqd.start();
  t.is(await problem(), undefined);
  await service?.drain();
});
