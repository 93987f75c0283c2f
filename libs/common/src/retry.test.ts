import test from 'ava';
import { PlatformError } from './errors.ts';
import { delayMs, isTransient, retry } from './retry.ts';

const FAST = { firstMs: 1, mostMs: 4, jitter: 0 };
const away = () => new PlatformError('unavailable', 'It is away.');

test('Pauses double from the first to the most', (t) => {
  const backOff = { firstMs: 100, mostMs: 1000, jitter: 0 };
  t.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 1000].map((tries) => delayMs(tries, backOff)),
    [0, 100, 200, 400, 800, 1000, 1000, 1000],
  );
});

test('Chance takes away no more of a pause than it may', (t) => {
  for (const [jitter, least] of [
    [0.25, 750],
    [0.5, 500],
    [1, 0],
  ] as const) {
    const pauses = Array.from({ length: 200 }, () => delayMs(1, { firstMs: 1000, mostMs: 1000, jitter }));
    t.true(pauses.every((ms) => ms >= least && ms <= 1000 && Number.isInteger(ms)));
    t.true(new Set(pauses).size > 10);
  }
});

test('Work is done again until it succeeds', async (t) => {
  let calls = 0;
  const seen: unknown[] = [];
  const work = async () => {
    calls += 1;
    if (calls < 4) throw away();
    return calls;
  };
  t.is(await retry(work, { ...FAST, onRetry: (error) => seen.push(error) }), 4);
  t.is(seen.length, 3);
});

test('An error that no later try mends is thrown at once', async (t) => {
  let calls = 0;
  const work = async () => {
    calls += 1;
    throw new PlatformError('not_found', 'It is not there.');
  };
  await t.throwsAsync(retry(work, FAST), { message: 'It is not there.' });
  t.is(calls, 1);
});

test('The last error is thrown once the tries are used up', async (t) => {
  let calls = 0;
  const work = async () => {
    calls += 1;
    throw new Error(`failure ${calls}`);
  };
  await t.throwsAsync(retry(work, { ...FAST, tries: 3, retryIf: () => true }), { message: 'failure 3' });
  t.is(calls, 3);
});

test('An error may ask for a longer pause', async (t) => {
  let calls = 0;
  const work = async () => {
    calls += 1;
    if (calls === 1) throw away();
  };
  const begun = performance.now();
  await retry(work, { ...FAST, leastMs: () => 50 });
  t.true(performance.now() - begun >= 45);
});

test('An abort ends the pause, and no further try is made', async (t) => {
  const stop = new AbortController();
  const reason = new Error('enough');
  let calls = 0;
  const work = async () => {
    calls += 1;
    throw away();
  };
  const running = retry(work, { firstMs: 60_000, mostMs: 60_000, jitter: 0, signal: stop.signal });
  setTimeout(() => stop.abort(reason), 5);
  t.is(await t.throwsAsync(running), reason);
  t.is(calls, 1);
  t.is(await t.throwsAsync(retry(work, { ...FAST, signal: stop.signal })), reason);
  t.is(calls, 1);
});

test('What may go away by itself is told from what stays', (t) => {
  const broken = Object.assign(new Error('broken'), { code: 'ECONNRESET' });
  const missing = Object.assign(new Error('missing'), { code: 'ENOENT' });
  t.deepEqual(
    [away(), broken, new TypeError('fetch failed'), missing, new Error('wrong'), 'text'].map(isTransient),
    [true, true, true, false, false, false],
  );
});
