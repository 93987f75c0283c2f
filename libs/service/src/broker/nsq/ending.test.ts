import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { startNsqd, startNsqlookupd, withParts } from '@morpheo/real-parts';
import ava from 'ava';

const test = withParts(ava, 'nsq');
const FIXTURE = fileURLToPath(new URL('ending.fixture.ts', import.meta.url));

/** Runs the fixture, which closes its broker and has nothing else to do: how it ended. */
async function run(...places: readonly string[]) {
  const child = spawn(process.execPath, [FIXTURE, ...places], { stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child.stdout, 'data');
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit'), closed]);
  return { code, errors };
}

test('A process whose broker is closed ends by itself', async (t) => {
  await using lookupd = await startNsqlookupd();
  await using nsqd = await startNsqd({ lookupds: [lookupd.tcp] });
  t.deepEqual(await run(nsqd.tcp, lookupd.http), { code: 0, errors: '' });
});

test('It ends by itself where nsqd is away or frozen, too', async (t) => {
  await using away = await startNsqd();
  await away.kill();
  await using frozen = await startNsqd();
  await frozen.freeze();
  for (const server of [away, frozen]) {
    t.deepEqual(await run(server.tcp), { code: 0, errors: '' });
  }
});
