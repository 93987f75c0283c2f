import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { isUuid } from '@morpheo/common';
import test from 'ava';
import { temporaryFolder } from '../archive/testing.ts';
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
