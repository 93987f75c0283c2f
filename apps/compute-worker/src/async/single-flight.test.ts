import test from 'ava';
import { SharedWork } from './single-flight.ts';

const forever = new AbortController().signal;

test('Work that several want at once is done once', async (t) => {
  const shared = new SharedWork<number>();
  let done = 0;
  const work = async () => {
    await new Promise(setImmediate);
    done += 1;
    return done;
  };
  const results = await Promise.all([1, 2, 3].map(() => shared.run('key', forever, work)));
  t.deepEqual(results, [1, 1, 1]);
  t.is(await shared.run('key', forever, work), 2);
});

test('A failure is shared with those who waited and then forgotten', async (t) => {
  const shared = new SharedWork<string>();
  const fail = () => Promise.reject(new Error('broken'));
  const [one, two] = [shared.run('key', forever, fail), shared.run('key', forever, fail)];
  await t.throwsAsync(one, { message: 'broken' });
  await t.throwsAsync(two, { message: 'broken' });
  t.is(await shared.run('key', forever, async () => 'fine'), 'fine');
});

test('The next in line does the work when the first gives up', async (t) => {
  const shared = new SharedWork<string>();
  const first = new AbortController();
  const { promise, reject } = Promise.withResolvers<string>();
  const abandoned = shared.run('key', first.signal, () => promise);
  const waiting = shared.run('key', forever, async () => 'by the second');
  first.abort(new Error('gave up'));
  reject(first.signal.reason);
  await t.throwsAsync(abandoned, { message: 'gave up' });
  t.is(await waiting, 'by the second');
});

test('Whoever gives up waiting leaves the work to the others', async (t) => {
  const shared = new SharedWork<string>();
  const { promise, resolve } = Promise.withResolvers<string>();
  const owner = shared.run('key', forever, () => promise);
  const impatient = new AbortController();
  const waiting = shared.run('key', impatient.signal, () => promise);
  impatient.abort(new Error('no time'));
  await t.throwsAsync(waiting, { message: 'no time' });
  resolve('done');
  t.is(await owner, 'done');
});

test('The next in line does the work when what went wrong concerns the first alone', async (t) => {
  const shared = new SharedWork<string>((error) => error instanceof RangeError);
  const { promise, reject } = Promise.withResolvers<string>();
  const refused = shared.run('key', forever, () => promise);
  const waiting = shared.run('key', forever, async () => 'by the second');
  reject(new RangeError('not you'));
  await t.throwsAsync(refused, { message: 'not you' });
  t.is(await waiting, 'by the second');
});
