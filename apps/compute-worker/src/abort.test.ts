import test from 'ava';
import { orAborted, pause, together, within } from './abort.ts';

const never = () => new Promise<never>(() => undefined);
const forever = new AbortController().signal;

test('A wait ends with the reason of the signal', async (t) => {
  const stop = new AbortController();
  const reason = new Error('enough');
  const [waiting, pausing] = [orAborted(never(), stop.signal), pause(60_000, stop.signal)];
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
  t.deepEqual(await together(forever, [first, second]), ['first', 2]);
});

test('The first failure stops the others and is thrown once they have stopped', async (t) => {
  const failure = new Error('failed');
  let stopped = false;
  const slow = async (signal: AbortSignal) => {
    await orAborted(never(), signal).catch(() => undefined);
    await new Promise(setImmediate);
    stopped = true;
  };
  const error = await t.throwsAsync(together(forever, [slow, () => Promise.reject(failure)]));
  t.is(error, failure);
  t.true(stopped);
});

test('An abort from outside is what tasks side by side are rejected with', async (t) => {
  const stop = new AbortController();
  const reason = new Error('over');
  const running = together(stop.signal, [(signal) => orAborted(never(), signal)]);
  stop.abort(reason);
  t.is(await t.throwsAsync(running), reason);
});

test('Work that takes too long is stopped and fails as late', async (t) => {
  const late = new Error('late');
  const hangs = (signal: AbortSignal) => orAborted(never(), signal);
  t.is(await t.throwsAsync(within(10, forever, () => late, hangs)), late);
  t.is(
    await within(
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
  const running = within(
    60_000,
    stop.signal,
    () => new Error('late'),
    (signal) => orAborted(never(), signal),
  );
  stop.abort(reason);
  t.is(await t.throwsAsync(running), reason);
});
