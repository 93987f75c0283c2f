import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { startNsqd, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { eventually } from '../../testing/index.ts';
import { fault, listen, until } from '../conformance-listeners.ts';
import { channelOf, openAt, openHastilyAt } from './nsq.fixture.ts';

const test = withParts(ava, 'nsq');

test('A subscriber hears again after nsqd was killed and started', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  const heard = await listen(broker, 'train');
  await nsqd.kill();
  await nsqd.start();
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'x')), undefined));
  await eventually(t, (again) => again.true(heard.messages.includes('x')));
});

test('A subscriber hears a wiped nsqd', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  const heard = await listen(broker, 'train');
  await nsqd.wipe();
  await nsqd.start();
  await eventually(t, async (again) => again.is((await channelOf(nsqd, 'train')).clients?.length, 1));
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'x')), undefined));
  await until(() => heard.messages.includes('x'));
  t.pass();
});

test('A subscriber hears an nsqd that starts later', async (t) => {
  await using nsqd = await startNsqd();
  await nsqd.kill();
  await using broker = openAt(nsqd);
  const heard = await listen(broker, 'train');
  t.is(broker.said('warn').length, 1);
  await nsqd.start();
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'x')), undefined));
  await until(() => heard.messages.includes('x'));
});

test('A subscriber leaves a frozen nsqd and hears it once thawed', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openHastilyAt(nsqd);
  const heard = await listen(broker, 'train');
  await nsqd.freeze();
  await eventually(t, (again) =>
    again.regex(broker.said('warn').join(), /closed the connection|says nothing/),
  );
  await nsqd.thaw();
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'x')), undefined));
  await eventually(t, (again) => again.true(heard.messages.includes('x')));
});

test('A connection without messages stays', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  await listen(broker, 'train');
  await broker.publish('other', 'x');
  const since = async () => (await channelOf(nsqd, 'train')).clients?.map((client) => client.connect_ts);
  const first = await since();
  // Longer than the silence after which a connection is taken for dead.
  await pause(7000);
  t.deepEqual(await since(), first);
  t.deepEqual(broker.said('warn'), []);
});

test('With one of two nsqds down nothing is handled after closing', async (t) => {
  await using up = await startNsqd();
  await using down = await startNsqd();
  await down.kill();
  await using broker = openAt(up, down);
  await using publisher = openAt(up);
  const heard = await listen(broker, 'train');
  // Each failed attempt at the one that is down is what makes nsqjs forget the other.
  await pause(4000);
  await publisher.publish('train', 'before');
  await until(() => heard.messages.length === 1);
  await heard.subscription[Symbol.asyncDispose]();
  for (let n = 0; n < 20; n += 1) await publisher.publish('train', `${n}`);
  await publisher.ping();
  t.deepEqual(heard.messages, ['before']);
  const { depth, in_flight_count, clients } = await channelOf(up, 'train');
  t.deepEqual([depth, in_flight_count, clients?.length ?? 0], [20, 0, 0]);
});

test('Closing loses no message and leaves none in flight', async (t) => {
  await using nsqd = await startNsqd();
  await using publisher = openAt(nsqd);
  const handled: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    await using broker = openAt(nsqd);
    const enough = Promise.withResolvers<void>();
    const before = handled.length;
    const handle = async (message: string) => {
      handled.push(message);
      if (handled.length === before + 20) enough.resolve();
    };
    await broker.subscribe({ topic: 'train', channel: 'test', concurrency: 4, handle });
    for (let n = 0; n < 100; n += 1) await publisher.publish('train', `${round}-${n}`);
    await enough.promise;
  }
  const { depth, in_flight_count, timeout_count } = await channelOf(nsqd, 'train');
  t.deepEqual([depth + handled.length, in_flight_count, timeout_count], [500, 0, 0]);
  t.is(new Set(handled).size, handled.length, 'none twice');
});

test('A message whose handler fails holds no other one back', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  const heard: string[] = [];
  const handle = async (message: string) => {
    heard.push(message);
    if (message === '3') throw new Error('on purpose');
  };
  await broker.subscribe({ topic: 'train', channel: 'test', handle });
  const from = performance.now();
  await Promise.all(Array.from({ length: 50 }, async (_, n) => await broker.publish('train', `${n}`)));
  await until(() => heard.length === 50);
  t.true(performance.now() - from < 10_000);
  await eventually(t, async (again) => {
    const { requeue_count, depth, in_flight_count } = await channelOf(nsqd, 'train');
    again.deepEqual([requeue_count, depth, in_flight_count], [0, 0, 0]);
  });
});

test('With several handlers messages do not wait in a buffer of nsqd', async (t) => {
  // What it keeps for clients that do not ask for less; by itself it is a quarter of a second.
  await using nsqd = await startNsqd({ flags: ['--output-buffer-timeout=20s'] });
  await using broker = openAt(nsqd);
  const times: number[] = [];
  const handle = async (message: string) => void times.push(performance.now() - Number(message));
  await broker.subscribe({ topic: 'train', channel: 'test', concurrency: 16, handle });
  for (let n = 1; n <= 20; n += 1) {
    await broker.publish('train', `${performance.now()}`);
    await until(() => times.length === n);
  }
  const median = times.toSorted((a, b) => a - b)[10] ?? Infinity;
  t.true(median < 1000, `${median} ms`);
});

for (const flags of [['--msg-timeout=3s'], ['--msg-timeout=3s', '--max-msg-timeout=6s']]) {
  test(`A handler that runs longer than a message may is not run twice: ${flags.join(' ')}`, async (t) => {
    await using nsqd = await startNsqd({ flags });
    await using broker = openAt(nsqd);
    await using other = openAt(nsqd);
    let runs = 0;
    const handle = async () => {
      runs += 1;
      await pause(10_000);
    };
    const subscription = await broker.subscribe({ topic: 'train', channel: 'test', handle });
    await other.subscribe({ topic: 'train', channel: 'test', handle });
    // nsqd does not look at messages of a channel for overdue ones before.
    await pause(6000);
    await broker.publish('train', 'x');
    await until(() => runs > 0);
    await pause(9500);
    await subscription.drain();
    t.is(runs, 1);
    t.is((await channelOf(nsqd, 'train')).timeout_count, 0);
  });
}

test('A message that another consumer died with is handled', async (t) => {
  await using nsqd = await startNsqd({ flags: ['--msg-timeout=1s'] });
  await using broker = openAt(nsqd);
  const [host, port] = nsqd.tcp.split(':');
  const dying = connect(Number(port), host);
  dying.write('  V2SUB train test\nRDY 1\n');
  await eventually(t, async (again) => again.is((await channelOf(nsqd, 'train')).clients?.length, 1));
  await broker.publish('train', 'x');
  await eventually(t, async (again) => again.is((await channelOf(nsqd, 'train')).in_flight_count, 1));
  dying.destroy();
  const heard = await listen(broker, 'train');
  // Twice, where this process is kept from answering for longer than a message may take here.
  await eventually(t, (again) => again.deepEqual(new Set(heard.messages), new Set(['x'])));
});

test('Foreign messages of every kind are handed over and finished', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  const heard = await listen(broker, 'train');
  const bodies = [
    Buffer.from([0, 255, 10, 13]),
    Buffer.alloc(900_000, 'x'),
    Buffer.from('{"'),
    Buffer.from('\n'),
  ];
  for (const body of bodies) await fetch(`http://${nsqd.http}/pub?topic=train`, { method: 'POST', body });
  await broker.publish('train', 'ours');
  await until(() => heard.messages.length === bodies.length + 1);
  await eventually(t, async (again) => again.is((await channelOf(nsqd, 'train')).in_flight_count, 0));
  t.is(heard.messages[1]?.length, 900_000);
});
