import test from 'ava';
import { KeyedLock } from './async.ts';

test('Who asks for one key holds it in turn, of two keys side by side', async (t) => {
  const lock = new KeyedLock();
  const order: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const hold = async (key: string, work: () => unknown) => {
    using _ = await lock.hold(key);
    await work();
  };
  const first = hold('a', async () => {
    await gate;
    order.push('a1');
  });
  const second = hold('a', () => order.push('a2'));
  await hold('b', () => order.push('b'));
  open();
  await Promise.all([first, second]);
  t.deepEqual(order, ['b', 'a1', 'a2']);
});

test('Work that throws lets the next one hold the key', async (t) => {
  const lock = new KeyedLock();
  const failed = (async () => {
    using _ = await lock.hold('a');
    throw new Error('broken');
  })();
  const next = lock.hold('a');
  await t.throwsAsync(failed, { message: 'broken' });
  t.truthy(await next);
});
