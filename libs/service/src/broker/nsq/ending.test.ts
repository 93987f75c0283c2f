import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { startNsqd, startNsqlookupd, withParts } from '@morpheo/real-parts';
import ava from 'ava';

const test = withParts(ava, 'nsq');
const FIXTURE = fileURLToPath(new URL('ending.fixture.ts', import.meta.url));

/** Runs the fixture: how it ended, how long it went on after closing the broker, and what was open then. */
async function run(...places: readonly string[]) {
  const child = spawn(process.execPath, [FIXTURE, ...places], { stdio: ['ignore', 'pipe', 'pipe'] });
  const closedAt = once(child.stdout, 'data').then(() => performance.now());
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  return { code, errors, wentOnMs: performance.now() - (await closedAt) };
}

test('A process whose broker is closed ends by itself', async (t) => {
  await using lookupd = await startNsqlookupd();
  await using nsqd = await startNsqd({ lookupds: [lookupd.tcp] });
  const { wentOnMs, ...end } = await run(nsqd.tcp, lookupd.http);
  t.deepEqual(end, { code: 0, errors: '' });
  t.true(wentOnMs < 5000, `${wentOnMs} ms`);
});

test('It ends by itself where nsqd is away or frozen, too', async (t) => {
  await using away = await startNsqd();
  await away.kill();
  await using frozen = await startNsqd();
  await frozen.freeze();
  for (const server of [away, frozen]) {
    const { wentOnMs, ...end } = await run(server.tcp);
    t.deepEqual(end, { code: 0, errors: '' });
    t.true(wentOnMs < 5000, `${wentOnMs} ms`);
  }
});
