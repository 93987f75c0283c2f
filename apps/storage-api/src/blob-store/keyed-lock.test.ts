import test from 'ava';
import { createKeyedLock } from './keyed-lock.ts';

test('work of one key runs in turn, of two keys side by side', async (t) => {
  const lock = createKeyedLock();
  const order: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const first = lock.run('a', async () => {
    await gate;
    order.push('a1');
  });
  const second = lock.run('a', async () => order.push('a2'));
  await lock.run('b', async () => order.push('b'));
  open();
  await Promise.all([first, second]);
  t.deepEqual(order, ['b', 'a1', 'a2']);
});

test('work that throws lets the next one run', async (t) => {
  const lock = createKeyedLock();
  const failed = lock.run('a', () => Promise.reject(new Error('broken')));
  const next = lock.run('a', async () => 'ran');
  await t.throwsAsync(failed, { message: 'broken' });
  t.is(await next, 'ran');
});
