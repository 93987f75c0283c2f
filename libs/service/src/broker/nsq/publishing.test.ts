import { isPlatformError } from '@morpheo/common';
import { startNsqd, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { eventually } from '../../testing/index.ts';
import { fault, listen, until } from '../conformance-listeners.ts';
import { countAt, openAt, openHastilyAt, openWith, statsOf } from './nsq.fixture.ts';

const test = withParts(ava, 'nsq');

test('Publishing works again after nsqd was killed and started', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  await broker.publish('train', 'before');
  await nsqd.kill();
  t.true(isPlatformError(await fault(broker.publish('train', 'meanwhile')), 'unavailable'));
  await nsqd.start();
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'after')), undefined));
});

test('Every publication under way is answered when nsqd dies', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  await broker.publish('train', 'first');
  const outcomes = Array.from({ length: 2000 }, async (_, n) => await fault(broker.publish('train', `${n}`)));
  await nsqd.kill();
  const errors = (await Promise.all(outcomes)).filter((error) => error !== undefined);
  t.true(errors.every((error) => isPlatformError(error, 'unavailable')));
});

test('Publications at once are each answered for itself', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  const wrong = fault(broker.publish('no topic', 'x'));
  const many = Array.from({ length: 500 }, async (_, n) => await broker.publish(`t${n % 5}`, `${n}`));
  await Promise.all(many);
  t.true(isPlatformError(await wrong, 'invalid_request'));
  const { topics } = await statsOf(nsqd);
  t.deepEqual(
    topics.map((topic) => topic.message_count),
    [100, 100, 100, 100, 100],
  );
});

test('An nsqd that is not there is one line with a remedy [M16]', async (t) => {
  await using nsqd = await startNsqd();
  await nsqd.kill();
  await using broker = openAt(nsqd);
  const error = await fault(broker.publish('train', 'x'));
  t.true(isPlatformError(error, 'unavailable'));
  const line = `nsqd at ${nsqd.tcp} refuses connections (connect ECONNREFUSED ${nsqd.tcp}): start it, or correct the address (nsqd listens at 4150, usually).`;
  t.is(error instanceof Error ? error.message : '', line);
  await fault(broker.publish('train', 'x'));
  await t.throwsAsync(broker.ping(), { message: line });
  t.deepEqual(broker.said('warn'), [line], 'it is said once');
  await nsqd.start();
  await broker.ping();
  await eventually(t, (again) => again.deepEqual(broker.said('info'), ['works again']));
});

test('A frozen nsqd is an error soon, and heals [M2] [M16]', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openHastilyAt(nsqd);
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'before')), undefined));
  await nsqd.freeze();
  const from = performance.now();
  const error = await fault(broker.publish('train', 'x'));
  const tookMs = performance.now() - from;
  t.true(tookMs > 1000 && tookMs < 10_000, `took ${tookMs} ms`);
  t.regex(String(error), /takes connections and says nothing/);
  await t.throwsAsync(broker.ping(AbortSignal.timeout(1900)), { message: /says nothing.*frozen/ });
  await nsqd.thaw();
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'y')), undefined));
});

test('A wiped nsqd takes messages again', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  await broker.publish('train', 'before');
  await nsqd.wipe();
  await nsqd.start();
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'y')), undefined));
  t.true((await countAt(nsqd, 'train')) > 0);
});

test('What nsqd would misread never reaches it', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  await broker.publish('good', 'x');
  const bad = ['a b', 'a\nPUB evil', 'a\0', 'a#ephemeral', '', 'x'.repeat(65)];
  for (const topic of bad) {
    t.true(
      isPlatformError(await fault(broker.publish(topic, 'x')), 'invalid_request'),
      JSON.stringify(topic),
    );
  }
  const underWay = Array.from({ length: 50 }, async (_, n) => await broker.publish('good', `${n}`));
  t.true(isPlatformError(await fault(broker.publish('good', 'x'.repeat(2 ** 21))), 'too_large'));
  t.true(isPlatformError(await fault(broker.publish('good', '')), 'invalid_request'));
  await Promise.all(underWay);
  const { topics, producers } = await statsOf(nsqd);
  t.deepEqual(
    topics.map(({ topic_name, message_count }) => [topic_name, message_count]),
    [['good', 51]],
  );
  t.is(producers?.length, 1, 'the connection was never lost');
});

test('A message that this nsqd does not take for its size is too large, and the next one arrives [M6]', async (t) => {
  await using nsqd = await startNsqd({ flags: ['--max-msg-size=1000'] });
  await using broker = openAt(nsqd);
  const error = await fault(broker.publish('train', 'x'.repeat(1001)));
  t.true(isPlatformError(error, 'too_large'), String(error));
  await eventually(t, async (again) =>
    again.is(await fault(broker.publish('train', 'x'.repeat(1000))), undefined),
  );
  t.is(await countAt(nsqd, 'train'), 1);
});

test('Several nsqds get messages in turn', async (t) => {
  await using one = await startNsqd();
  await using other = await startNsqd();
  await using broker = openAt(one, other);
  for (let n = 0; n < 20; n += 1) await broker.publish('train', `${n}`);
  t.is((await countAt(one, 'train')) + (await countAt(other, 'train')), 20);
  t.true((await countAt(one, 'train')) >= 9);
});

test('With one of two nsqds down no message is refused', async (t) => {
  await using one = await startNsqd();
  await using other = await startNsqd();
  await using broker = openAt(one, other);
  for (let n = 0; n < 4; n += 1) await broker.publish('train', `${n}`);
  await one.kill();
  for (let n = 0; n < 50; n += 1) await broker.publish('train', `${n}`);
  await broker.ping();
  t.true((await countAt(other, 'train')) >= 50);
  await one.start();
  await eventually(t, async (again) => {
    await broker.publish('train', 'x');
    again.true((await countAt(one, 'train')) > 0);
  });
});

test('With one of two nsqds frozen every message is taken in time', async (t) => {
  await using one = await startNsqd();
  await using other = await startNsqd();
  await using broker = openAt(one, other);
  for (let n = 0; n < 4; n += 1) await broker.publish('train', `${n}`);
  await one.freeze();
  const times: number[] = [];
  for (let n = 0; n < 20; n += 1) {
    const from = performance.now();
    await broker.publish('train', `${n}`);
    times.push(performance.now() - from);
  }
  t.true(Math.max(...times) < 10_000, `${Math.max(...times)} ms`);
  t.true(times.filter((ms) => ms > 1000).length <= 2, 'one message pays for all');
  await broker.ping();
});

test('A message that waits for the first connection is published', async (t) => {
  await using nsqd = await startNsqd();
  await using broker = openAt(nsqd);
  const { messages, topic } = await listen(broker, 'train');
  await Promise.all(['a', 'b', 'c'].map(async (text) => await broker.publish(topic, text)));
  await until(() => messages.length === 3);
  t.deepEqual(new Set(messages).size, 3);
});

test('A host that is not known is told as such', async (t) => {
  await using broker = openWith({ nsqds: ['no-such-host.invalid:4150'] });
  await t.throwsAsync(broker.publish('train', 'x'), { message: /name that is not known|is not reached/ });
});

test('Addresses that are none are refused at once', (t) => {
  for (const nsqds of [['nsqd'], ['nsqd:0'], ['nsqd:70000'], ['http://nsqd:4150'], ['a b:1'], ['']]) {
    t.throws(() => openWith({ nsqds }), { code: 'invalid_request' }, nsqds[0] ?? '');
  }
  t.throws(() => openWith({ lookupds: ['nsqlookupd'] }), { code: 'invalid_request' });
});
