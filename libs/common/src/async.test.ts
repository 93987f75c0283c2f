import test from 'ava';
import { abortable, all, sleep, withTimeout } from './async.ts';

const never = () => new Promise<never>(() => undefined);
const forever = new AbortController().signal;

test('A wait ends with the reason of the signal', async (t) => {
  const stop = new AbortController();
  const reason = new Error('enough');
  const [waiting, pausing] = [abortable(never(), stop.signal), sleep(60_000, stop.signal)];
  stop.abort(reason);
  t.is(await t.throwsAsync(waiting), reason);
  t.is(await t.throwsAsync(pausing), reason);
});

test('Tasks side by side give their results in order', async (t) => {
  const gate = Promise.withResolvers<void>();
  const first = async () => {
    await gate.promise;
    return 'first';
  };
  const second = async () => {
    gate.resolve();
    return 2;
  };
  t.deepEqual(await all(forever, [first, second]), ['first', 2]);
});

test('The first failure stops the others and is thrown once they have stopped', async (t) => {
  const failure = new Error('failed');
  let stopped = false;
  const slow = async (signal: AbortSignal) => {
    await abortable(never(), signal).catch(() => undefined);
    await new Promise(setImmediate);
    stopped = true;
  };
  const error = await t.throwsAsync(all(forever, [slow, () => Promise.reject(failure)]));
  t.is(error, failure);
  t.true(stopped);
});

test('An abort from outside is what tasks side by side are rejected with', async (t) => {
  const stop = new AbortController();
  const reason = new Error('over');
  const running = all(stop.signal, [(signal) => abortable(never(), signal)]);
  stop.abort(reason);
  t.is(await t.throwsAsync(running), reason);
});

test('Work that takes too long is stopped and fails as late', async (t) => {
  const late = new Error('late');
  const hangs = (signal: AbortSignal) => abortable(never(), signal);
  t.is(await t.throwsAsync(withTimeout(10, forever, () => late, hangs)), late);
  t.is(
    await withTimeout(
      60_000,
      forever,
      () => late,
      async () => 'in time',
    ),
    'in time',
  );
});

test('An abort is not taken for being late', async (t) => {
  const stop = new AbortController();
  const reason = new Error('over');
  const running = withTimeout(
    60_000,
    stop.signal,
    () => new Error('late'),
    (signal) => abortable(never(), signal),
  );
  stop.abort(reason);
  t.is(await t.throwsAsync(running), reason);
});

test('Neither a wait that ends in time nor an abort leaves anything behind', async (t) => {
  const stop = new AbortController();
  await sleep(1, stop.signal);
  await sleep(0);
  t.is(await abortable(Promise.resolve('in time'), stop.signal), 'in time');
  stop.abort(new Error('too late'));
  await t.throwsAsync(sleep(60_000, stop.signal), { message: 'too late' });
  await t.throwsAsync(abortable(Promise.resolve(), stop.signal), { message: 'too late' });
});
