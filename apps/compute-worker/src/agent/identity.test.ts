import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isUuid } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { memoryLog } from '@morpheo/service/log';
import test from 'ava';
import { takeIdentity } from './identity.ts';

test('A worker is the same after every start', async (t) => {
  await using folder = await temporaryFolder();
  const first = await takeIdentity(folder.path);
  await first[Symbol.asyncDispose]();
  await using second = await takeIdentity(folder.path);
  t.true(isUuid(first.id));
  t.is(second.id, first.id);
});

test('Two workers do not share a folder', async (t) => {
  await using folder = await temporaryFolder();
  await using _first = await takeIdentity(folder.path);
  const error = await t.throwsAsync(takeIdentity(folder.path), { code: 'unavailable' });
  t.true(error?.message.includes(folder.path));
});

test('A copy of the folder of a worker is another worker, and stays that one', async (t) => {
  await using folder = await temporaryFolder();
  const [original, copy] = [join(folder.path, 'original'), join(folder.path, 'copy')];
  await using first = await takeIdentity(original);
  await cp(original, copy, { recursive: true, preserveTimestamps: true });
  const log = memoryLog();
  const second = await takeIdentity(copy, log);
  t.not(second.id, first.id);
  t.like(log.entries, [{ level: 'warn', worker: second.id, copied: first.id }]);
  await second[Symbol.asyncDispose]();
  await using again = await takeIdentity(copy, log);
  t.is(again.id, second.id);
  t.is(log.entries.length, 1);
});

test('A worker on another machine, or on one that was started again, has moved until that is settled', async (t) => {
  await using folder = await temporaryFolder();
  const startOn = async (machine: string) => {
    await using identity = await takeIdentity(folder.path, undefined, async () => machine);
    if (machine === 'settled') await identity.settle();
    return identity;
  };
  const first = await startOn('first');
  t.false(first.moved);
  t.false((await startOn('first')).moved);
  t.like(await startOn('second'), { id: first.id, moved: true });
  t.true((await startOn('second')).moved, 'nobody has said that it may be this worker');
  t.true((await startOn('settled')).moved);
  t.false((await startOn('settled')).moved);
});

test('The machine and its disk stay the same from start to start', async (t) => {
  await using folder = await temporaryFolder();
  for (const _ of [1, 2]) {
    await using identity = await takeIdentity(folder.path);
    t.false(identity.moved);
  }
});

test('An id that was taken over is given up: the next start makes another', async (t) => {
  await using folder = await temporaryFolder();
  const first = await takeIdentity(folder.path);
  await first.giveUp();
  await first[Symbol.asyncDispose]();
  await using second = await takeIdentity(folder.path);
  t.not(second.id, first.id);
});

test('A folder that was renamed is the same worker', async (t) => {
  await using folder = await temporaryFolder();
  const [before, after] = [join(folder.path, 'before'), join(folder.path, 'after')];
  const first = await takeIdentity(before);
  await first[Symbol.asyncDispose]();
  await rename(before, after);
  await using second = await takeIdentity(after);
  t.is(second.id, first.id);
});

test('The folder of a killed worker is free at once', async (t) => {
  await using folder = await temporaryFolder();
  const script = `
    import { takeIdentity } from ${JSON.stringify(import.meta.resolve('./identity.ts'))};
    console.log((await takeIdentity(${JSON.stringify(folder.path)})).id);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  await t.throwsAsync(takeIdentity(folder.path), { code: 'unavailable' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  const killedAt = performance.now();
  await using next = await takeIdentity(folder.path);
  t.is(next.id, String(line).trim());
  t.true(performance.now() - killedAt < 5000);
});
