import { randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import fc from 'fast-check';
import { MemoryCompute, type TestOrder } from '../testing/memory-compute.ts';
import { learnOrder } from '../testing/orders.ts';
import { AttemptEvents } from './events.ts';

const away = new PlatformError('unavailable', 'compute-api is away.');

function open(limitBytes = 1_000_000) {
  const compute = new MemoryCompute();
  const order = compute.place(learnOrder({ uuid: randomUUID() }));
  Object.assign(order, { status: 'pending', attempt: 1 });
  const stale: string[] = [];
  const over = new AbortController();
  const events = new AttemptEvents({
    compute: compute.api,
    order: order.id,
    attempt: 1,
    log: silentLog,
    limitBytes,
    over: over.signal,
    onStale: () => stale.push('stale'),
  });
  return { compute, order, events, stale };
}

/** Ends the events, and has the report carry the last ones. */
async function sendAll(compute: MemoryCompute, order: TestOrder, events: AttemptEvents): Promise<void> {
  const last = await events.close(60_000);
  const params = { id: order.id, attempt: 1 };
  if (last.length > 0) await compute.api.noteEvents({ params, body: { events: last } });
}

function text(order: TestOrder, stream = 'stdout'): string {
  return order.log
    .filter((chunk) => chunk.stream === stream)
    .map((chunk) => chunk.text)
    .join('');
}

test('What a step prints is sent while it still runs', async (t) => {
  const { order, events } = open();
  events.note({ what: 'started', step: 'train' });
  await events.output('train', 'stdout', Buffer.from('epoch 1\n'));
  await eventually(t, (inner) => inner.is(text(order), 'epoch 1\n'));
  t.deepEqual(order.started, ['train']);
  events.stop();
});

test('Notes and text arrive in the order in which they were added', async (t) => {
  const { compute, order, events } = open();
  const calls: string[] = [];
  compute.fault = (call) => void calls.push(call);
  events.note({ what: 'started', step: 'train' });
  await events.output('train', 'stdout', Buffer.from('a'));
  await events.output('train', 'stderr', Buffer.from('b'));
  events.note({ what: 'ended', record: { step: 'train', seconds: 1 } });
  await sendAll(compute, order, events);
  t.deepEqual(calls, ['noteEvents']);
  t.deepEqual(compute.told, ['started', 'log', 'log', 'ended']);
  t.deepEqual(
    order.log.map(({ stream }) => stream),
    ['stdout', 'stderr'],
  );
});

test('Text arrives whole, however its bytes are cut', async (t) => {
  const content = fc.string({ unit: 'binary', maxLength: 40_000 });
  await fc.assert(
    fc.asyncProperty(content, fc.integer({ min: 1, max: 20_000 }), async (printed, size) => {
      const { compute, order, events } = open();
      const bytes = Buffer.from(printed);
      for (let at = 0; at < bytes.length; at += size)
        await events.output('train', 'stdout', bytes.subarray(at, at + size));
      await sendAll(compute, order, events);
      t.is(text(order), bytes.toString().replaceAll('\0', '\uFFFD'));
      t.true(order.log.every((chunk) => chunk.text.length <= 65_536));
    }),
    { numRuns: 30 },
  );
});

test('Two builds side by side are told apart, line by line', async (t) => {
  const { compute, order, events } = open();
  {
    await using problem = events.buildOutput('problem');
    await using algo = events.buildOutput('algo');
    const print = async (build: typeof algo, text: string) =>
      await build.onOutput({ stream: 'stdout', bytes: Buffer.from(text) });
    await print(problem, 'Step 1/2 : FROM x\nStep 2/2');
    await print(algo, 'Step 1/3 : FROM y\n');
    await print(problem, ' : COPY . /app\n');
    await print(algo, 'left open');
  }
  await sendAll(compute, order, events);
  const lines = [
    'problem | Step 1/2 : FROM x',
    'algo | Step 1/3 : FROM y',
    'problem | Step 2/2 : COPY . /app',
    'algo | left open',
  ];
  t.is(text(order), `${lines.join('\n')}\n`);
  t.deepEqual(events.tail('build'), lines);
});

test('Half a character at the end of a step is shown as broken', async (t) => {
  const { compute, order, events } = open();
  await events.output('train', 'stdout', Buffer.from([0x61, 0xe2, 0x82]));
  events.note({ what: 'ended', record: { step: 'train', seconds: 1 } });
  await sendAll(compute, order, events);
  t.is(text(order), 'a\uFFFD');
});

test('What is over the limit is counted and not kept', async (t) => {
  const { compute, order, events } = open(10);
  for (let chunk = 0; chunk < 5; chunk += 1) await events.output('train', 'stdout', Buffer.alloc(10, 'x'));
  await sendAll(compute, order, events);
  t.is(text(order), 'x'.repeat(10));
  t.is(text(order, 'platform'), 'log: 40 B more were printed and are not kept\n');
  t.is(events.tail('train').join(''), 'x'.repeat(50));
});

test('A log that cannot be sent is sent later and holds up nobody', async (t) => {
  const { compute, order, events } = open(10_000_000);
  compute.fault = () => away;
  const chunk = Buffer.alloc(64 * 1024, 'y');
  await events.output('train', 'stdout', chunk);
  await eventually(t, (inner) => inner.true(compute.count('noteEvents') > 0));
  for (let more = 0; more < 20; more += 1) await events.output('train', 'stdout', chunk);
  compute.fault = () => undefined;
  await sendAll(compute, order, events);
  t.is(text(order).length, 21 * chunk.length);
});

test('Code that prints faster than is sent has to wait', async (t) => {
  const { compute, events } = open(10_000_000);
  const gate = Promise.withResolvers<undefined>();
  const over = new AbortController();
  const slow = { ...compute.api, noteEvents: () => gate.promise };
  const waiting = new AttemptEvents({
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
  events.stop();
});

test('Code that prints does not wait once the attempt is over', async (t) => {
  const over = new AbortController();
  const compute = { ...new MemoryCompute().api, noteEvents: () => new Promise<undefined>(() => undefined) };
  const options = { order: randomUUID(), attempt: 1, log: silentLog, limitBytes: 10_000_000 };
  const events = new AttemptEvents({ compute, ...options, over: over.signal, onStale: () => undefined });
  const chunk = Buffer.alloc(300_000, 'z');
  await events.output('train', 'stdout', Buffer.from('first'));
  events.note({ what: 'started', step: 'train' });
  const waiting = Promise.all([1, 2, 3].map(() => events.output('train', 'stdout', chunk)));
  over.abort();
  await t.notThrowsAsync(waiting);
  events.stop();
});

test('An attempt that is stale for compute-api ends and sends no more', async (t) => {
  const { compute, order, events, stale } = open();
  order.attempt = 2;
  await events.output('train', 'stdout', Buffer.from('late'));
  events.note({ what: 'started', step: 'perf' });
  await eventually(t, (inner) => inner.deepEqual(stale, ['stale']));
  const calls = compute.count('noteEvents');
  await events.output('train', 'stdout', Buffer.from('later'));
  await sendAll(compute, order, events);
  t.is(compute.count('noteEvents'), calls);
});

test('A part of the log that is refused is left out', async (t) => {
  const { compute, order, events } = open();
  let refused = 0;
  compute.fault = (call) => {
    if (call !== 'noteEvents' || refused > 0) return undefined;
    refused += 1;
    return new PlatformError('too_large', 'too much');
  };
  await events.output('train', 'stdout', Buffer.from('one'));
  await eventually(t, (inner) => inner.is(refused, 1));
  await events.output('train', 'stdout', Buffer.from('two'));
  await sendAll(compute, order, events);
  t.is(text(order), 'two');
});

test('Closing gives up after its grace time, and leaves the last part to the report', async (t) => {
  const { compute, events } = open();
  compute.fault = () => away;
  await events.output('train', 'stdout', Buffer.alloc(40_000, 'x'));
  events.note({ what: 'ended', record: { step: 'train', seconds: 1 } });
  const last = await events.close(50);
  t.true(compute.count('noteEvents') > 0);
  t.deepEqual(
    last.map(({ what }) => what),
    ['log', 'log', 'ended'],
  );
});

test('What happened in the last moment is left to the report, and said how long ago', async (t) => {
  const { compute, events } = open();
  events.note({ what: 'started', step: 'predict' });
  await events.output('predict', 'stdout', Buffer.from('done'));
  events.note({ what: 'ended', record: { step: 'predict', seconds: 0.1 } });
  const last = await events.close(60_000);
  t.is(compute.count('noteEvents'), 0);
  t.like(last, [
    { what: 'started', seq: 0, step: 'predict' },
    { what: 'log', seq: 1, text: 'done' },
    { what: 'ended', seq: 2 },
  ]);
  t.true(last.every(({ ago_ms = -1 }) => ago_ms >= 0));
});

test('A part that is refused among others is left out alone, and a call is told once though its answer was lost', async (t) => {
  const { compute, order, events } = open();
  let losses = 2;
  const api = {
    ...compute.api,
    noteEvents: async (call: Parameters<typeof compute.api.noteEvents>[0]) => {
      const bad = call.body.events.some((event) => event.what === 'log' && event.text === 'bad');
      if (bad) throw new PlatformError('too_large', 'too much');
      if (losses-- > 0) compute.loseAnswerOf.add('noteEvents');
      return await compute.api.noteEvents(call);
    },
  };
  const over = new AbortController();
  const options = { order: order.id, attempt: 1, log: silentLog, limitBytes: 1_000_000 };
  const sent = new AttemptEvents({ ...options, compute: api, over: over.signal, onStale: () => t.fail() });
  sent.note({ what: 'started', step: 'train' });
  await sent.output('train', 'stdout', Buffer.from('bad'));
  await sent.output('train', 'stderr', Buffer.from('good'));
  sent.note({ what: 'ended', record: { step: 'train', seconds: 1 } });
  await eventually(t, (t) => t.is(order.steps.length, 1));
  t.deepEqual(order.started, ['train']);
  t.deepEqual(
    order.log.map((chunk) => chunk.text),
    ['good'],
  );
  sent.stop();
  events.stop();
});
