import { once } from 'node:events';
import test from 'ava';
import { memoryLog, silentLog } from '../log/index.ts';
import { startLoop } from './index.ts';

const HOUR_MS = 3_600_000;

/** Resolves at the n-th call of `count`. */
function counter() {
  const waiting = new Map<number, () => void>();
  const state = { runs: 0 };
  const reached = (runs: number) => new Promise<void>((resolve) => void waiting.set(runs, resolve));
  const count = () => {
    state.runs += 1;
    waiting.get(state.runs)?.();
  };
  return { state, reached, count };
}

test('Work runs at once and again after every pause', async (t) => {
  const { count, reached, state } = counter();
  const third = reached(3);
  await using _loop = startLoop({ name: 'x', everyMs: 1, work: async () => count(), log: silentLog });
  t.is(state.runs, 0, 'not within the call that starts the loop');
  await third;
});

test('Waking runs the work without waiting for the pause', async (t) => {
  const { count, reached } = counter();
  const [first, second] = [reached(1), reached(2)];
  await using loop = startLoop({ name: 'x', everyMs: HOUR_MS, work: async () => count(), log: silentLog });
  await first;
  loop.wake();
  await second;
  t.pass();
});

test('Waking while the work runs makes it run once more', async (t) => {
  const { count, reached, state } = counter();
  const [first, second] = [reached(1), reached(2)];
  const gate = Promise.withResolvers<void>();
  const work = async () => {
    count();
    await gate.promise;
  };
  await using loop = startLoop({ name: 'x', everyMs: HOUR_MS, work, log: silentLog });
  await first;
  for (let call = 0; call < 5; call += 1) loop.wake();
  gate.resolve();
  await second;
  await loop[Symbol.asyncDispose]();
  t.is(state.runs, 2);
});

test('Work never overlaps itself', async (t) => {
  const { count, reached } = counter();
  const many = reached(50);
  let running = 0;
  const work = async () => {
    running += 1;
    t.is(running, 1);
    loop.wake();
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    count();
  };
  await using loop = startLoop({ name: 'x', everyMs: 1, work, log: silentLog });
  await many;
});

test('Disposing aborts the work under way and awaits it', async (t) => {
  const started = Promise.withResolvers<void>();
  let ended = false;
  const work = async (signal: AbortSignal) => {
    started.resolve();
    await once(signal, 'abort');
    await new Promise((resolve) => setImmediate(resolve));
    ended = true;
  };
  const loop = startLoop({ name: 'x', everyMs: 1, work, log: silentLog });
  await started.promise;
  await Promise.all([loop[Symbol.asyncDispose](), loop[Symbol.asyncDispose]()]);
  t.true(ended);
});

test('A disposed loop does not run, not even when woken', async (t) => {
  const { count, reached, state } = counter();
  const first = reached(1);
  const loop = startLoop({ name: 'x', everyMs: HOUR_MS, work: async () => count(), log: silentLog });
  await first;
  await loop[Symbol.asyncDispose]();
  loop.wake();
  await new Promise((resolve) => setImmediate(resolve));
  t.is(state.runs, 1);
});

test('A loop that is disposed at once never runs', async (t) => {
  const { count, state } = counter();
  const loop = startLoop({ name: 'x', everyMs: 1, work: async () => count(), log: silentLog });
  await loop[Symbol.asyncDispose]();
  t.is(state.runs, 0);
});

test('Work that throws is logged and tried again until it goes well', async (t) => {
  const log = memoryLog();
  const { count, reached, state } = counter();
  const sixth = reached(6);
  const work = async () => {
    count();
    if (state.runs <= 3) throw new Error('on purpose');
  };
  const loop = startLoop({ name: 'relay', everyMs: 1, work, log });
  await sixth;
  await loop[Symbol.asyncDispose]();
  const told = log.entries.map(({ level, loop: name, failures, message }) => [
    level,
    name,
    failures,
    message,
  ]);
  t.deepEqual(told, [
    ['warn', 'relay', 1, 'failed; it is tried again'],
    ['warn', 'relay', 2, 'failed; it is tried again'],
    ['warn', 'relay', 3, 'failed; it is tried again'],
    ['info', 'relay', 3, 'works again'],
  ]);
  t.like(log.entries[0]?.error, { message: 'on purpose' });
});

test('Pauses grow with failures, within their bounds', async (t) => {
  const { count, reached } = counter();
  const sixth = reached(6);
  const starts: number[] = [];
  const work = async () => {
    starts.push(performance.now());
    count();
    throw new Error('on purpose');
  };
  await using _loop = startLoop({ name: 'x', everyMs: 4, maxPauseMs: 40, work, log: silentLog });
  await sixth;
  const pauses = starts.slice(1).map((at, index) => at - (starts[index] ?? 0));
  // At least half of 8, 16, 32, 40, 40 ms; a timer may fire a millisecond early.
  for (const [index, least] of [4, 8, 16, 20, 20].entries()) {
    t.true((pauses[index] ?? 0) >= least - 1.5, `pause ${index} took ${pauses[index]} ms`);
  }
});

test('Waking does not shorten the pause after a failure', async (t) => {
  const { count, reached, state } = counter();
  const first = reached(1);
  const work = async () => {
    count();
    throw new Error('on purpose');
  };
  await using loop = startLoop({ name: 'x', everyMs: HOUR_MS, work, log: silentLog });
  await first;
  for (let call = 0; call < 5; call += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    loop.wake();
  }
  t.is(state.runs, 1);
});
