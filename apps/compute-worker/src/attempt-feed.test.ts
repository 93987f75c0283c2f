import { randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import fc from 'fast-check';
import { AttemptFeed } from './attempt-feed.ts';
import { MemoryCompute, type TestOrder } from './testing/memory-compute.ts';
import { learnOrder } from './testing/orders.ts';

const away = new PlatformError('unavailable', 'compute-api is away.');

function open(limitBytes = 1_000_000) {
  const compute = new MemoryCompute();
  const order = compute.place(learnOrder({ uuid: randomUUID() }));
  Object.assign(order, { status: 'pending', attempt: 1 });
  const stale: string[] = [];
  const over = new AbortController();
  const feed = new AttemptFeed({
    compute: compute.api,
    order: order.id,
    attempt: 1,
    log: silentLog,
    limitBytes,
    over: over.signal,
    onStale: () => stale.push('stale'),
  });
  return { compute, order, feed, stale };
}

function text(order: TestOrder, stream = 'stdout'): string {
  return order.log
    .filter((chunk) => chunk.stream === stream)
    .map((chunk) => chunk.text)
    .join('');
}

test('What a step prints is sent while it still runs', async (t) => {
  const { order, feed } = open();
  feed.note({ what: 'started', step: 'train' });
  await feed.output('train', 'stdout', Buffer.from('epoch 1\n'));
  await eventually(t, (inner) => inner.is(text(order), 'epoch 1\n'));
  t.deepEqual(order.started, ['train']);
  feed.stop();
});

test('Notes and text arrive in the order in which they were told', async (t) => {
  const { compute, order, feed } = open();
  const calls: string[] = [];
  compute.fault = (call) => void calls.push(call);
  feed.note({ what: 'started', step: 'train' });
  await feed.output('train', 'stdout', Buffer.from('a'));
  await feed.output('train', 'stderr', Buffer.from('b'));
  feed.note({ what: 'ended', record: { step: 'train', seconds: 1 } });
  await feed.close(1000);
  t.deepEqual(calls, ['noteStep', 'appendLog', 'noteStep']);
  t.deepEqual(
    order.log.map(({ stream }) => stream),
    ['stdout', 'stderr'],
  );
});

test('Text arrives whole, however its bytes are cut', async (t) => {
  const content = fc.string({ unit: 'binary', maxLength: 40_000 });
  await fc.assert(
    fc.asyncProperty(content, fc.integer({ min: 1, max: 20_000 }), async (printed, size) => {
      const { order, feed } = open();
      const bytes = Buffer.from(printed);
      for (let at = 0; at < bytes.length; at += size)
        await feed.output('train', 'stdout', bytes.subarray(at, at + size));
      await feed.close(5000);
      t.is(text(order), bytes.toString().replaceAll('\0', '\uFFFD'));
      t.true(order.log.every((chunk) => chunk.text.length <= 65_536));
    }),
    { numRuns: 30 },
  );
});

test('Half a character at the end of a step is shown as broken', async (t) => {
  const { order, feed } = open();
  await feed.output('train', 'stdout', Buffer.from([0x61, 0xe2, 0x82]));
  feed.note({ what: 'ended', record: { step: 'train', seconds: 1 } });
  await feed.close(1000);
  t.is(text(order), 'a\uFFFD');
});

test('What is over the limit is counted and not kept', async (t) => {
  const { order, feed } = open(10);
  for (let chunk = 0; chunk < 5; chunk += 1) await feed.output('train', 'stdout', Buffer.alloc(10, 'x'));
  await feed.close(1000);
  t.is(text(order), 'x'.repeat(10));
  t.is(text(order, 'platform'), 'log: 40 B more were printed and are not kept\n');
  t.is(feed.tail('train').join(''), 'x'.repeat(50));
});

test('A log that cannot be sent is sent later and holds up nobody', async (t) => {
  const { compute, order, feed } = open(10_000_000);
  compute.fault = () => away;
  const chunk = Buffer.alloc(64 * 1024, 'y');
  await feed.output('train', 'stdout', chunk);
  await eventually(t, (inner) => inner.true(compute.count('appendLog') > 0));
  for (let more = 0; more < 20; more += 1) await feed.output('train', 'stdout', chunk);
  compute.fault = () => undefined;
  await feed.close(10_000);
  t.is(text(order).length, 21 * chunk.length);
});

test('Whoever prints faster than is sent has to wait', async (t) => {
  const { compute, feed } = open(10_000_000);
  const gate = Promise.withResolvers<undefined>();
  const over = new AbortController();
  const slow = { ...compute.api, appendLog: () => gate.promise };
  const waiting = new AttemptFeed({
    compute: slow,
    order: randomUUID(),
    attempt: 1,
    log: silentLog,
    limitBytes: 10_000_000,
    over: over.signal,
    onStale: () => undefined,
  });
  let printed = 0;
  const printing = (async () => {
    for (; printed < 100; printed += 1) await waiting.output('train', 'stdout', Buffer.alloc(64 * 1024, 'z'));
  })();
  await new Promise(setImmediate);
  t.true(printed < 10);
  gate.resolve(undefined);
  await printing;
  t.is(printed, 100);
  waiting.stop();
  feed.stop();
});

test('Nobody waits for room once the attempt is over', async (t) => {
  const over = new AbortController();
  const compute = { ...new MemoryCompute().api, appendLog: () => new Promise<undefined>(() => undefined) };
  const options = { order: randomUUID(), attempt: 1, log: silentLog, limitBytes: 10_000_000 };
  const feed = new AttemptFeed({ compute, ...options, over: over.signal, onStale: () => undefined });
  const chunk = Buffer.alloc(300_000, 'z');
  await feed.output('train', 'stdout', Buffer.from('first'));
  feed.note({ what: 'started', step: 'train' });
  const waiting = Promise.all([1, 2, 3].map(() => feed.output('train', 'stdout', chunk)));
  over.abort();
  await t.notThrowsAsync(waiting);
  feed.stop();
});

test('An attempt that is stale for compute-api is told so and sends no more', async (t) => {
  const { compute, order, feed, stale } = open();
  order.attempt = 2;
  await feed.output('train', 'stdout', Buffer.from('late'));
  feed.note({ what: 'started', step: 'perf' });
  await eventually(t, (inner) => inner.deepEqual(stale, ['stale']));
  const calls = compute.count('noteStep') + compute.count('appendLog');
  await feed.output('train', 'stdout', Buffer.from('later'));
  await feed.close(1000);
  t.is(compute.count('noteStep') + compute.count('appendLog'), calls);
});

test('A part of the log that is refused is left out', async (t) => {
  const { compute, order, feed } = open();
  let refused = 0;
  compute.fault = (call) => {
    if (call !== 'appendLog' || refused > 0) return undefined;
    refused += 1;
    return new PlatformError('too_large', 'too much');
  };
  await feed.output('train', 'stdout', Buffer.from('one'));
  await eventually(t, (inner) => inner.is(refused, 1));
  await feed.output('train', 'stdout', Buffer.from('two'));
  await feed.close(1000);
  t.is(text(order), 'two');
});

test('Closing gives up after its grace time', async (t) => {
  const { compute, feed } = open();
  compute.fault = () => away;
  await feed.output('train', 'stdout', Buffer.from('unheard'));
  await feed.close(50);
  t.true(compute.count('appendLog') > 0);
});
