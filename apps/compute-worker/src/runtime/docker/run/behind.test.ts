import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { Behind } from './behind.ts';

/** Something that is removed when `removed` says so. */
function thing(removed: Promise<void> = Promise.resolve(), log: string[] = []) {
  const stack = new AsyncDisposableStack();
  stack.defer(async () => {
    log.push('begun');
    await removed;
    log.push('removed');
  });
  return stack;
}

test('What work needs is removed behind it, and is removed when all is done', async (t) => {
  const behind = new Behind(silentLog);
  const slow = Promise.withResolvers<void>();
  const log: string[] = [];
  t.is(await behind.after(thing(slow.promise, log), async () => 'result'), 'result');
  t.deepEqual(log, ['begun']);
  const done = behind.done().then(() => log.push('done'));
  slow.resolve();
  await done;
  t.deepEqual(log, ['begun', 'removed', 'done']);
});

test('What work needs that fails is removed before that is told', async (t) => {
  const behind = new Behind(silentLog);
  const log: string[] = [];
  const failing = behind.after(thing(undefined, log), async () => await Promise.reject(new Error('no')));
  await t.throwsAsync(failing, { message: 'no' });
  t.deepEqual(log, ['begun', 'removed']);
});

test('Where much waits to be removed, the next waits for one of these', async (t) => {
  const behind = new Behind(silentLog);
  const slow = Array.from({ length: 8 }, () => Promise.withResolvers<void>());
  for (const { promise } of slow) await behind.after(thing(promise), async () => undefined);
  const log: string[] = [];
  const next = behind
    .after(thing(undefined, log), async () => log.push('worked'))
    .then(() => log.push('over'));
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(log, ['worked']);
  slow[3]?.resolve();
  await next;
  t.deepEqual(log.slice(0, 2), ['worked', 'begun']);
  for (const { resolve } of slow) resolve();
  await behind.done();
});

test('What cannot be removed is told, and holds up nothing', async (t) => {
  const warned: unknown[] = [];
  const behind = new Behind({ ...silentLog, warn: (about) => warned.push(about) });
  await behind.after(thing(Promise.reject(new Error('no'))), async () => undefined);
  await behind.done();
  t.is(warned.length, 1);
});
