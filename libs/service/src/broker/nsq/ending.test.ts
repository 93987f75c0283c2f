import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { startNsqd, startNsqlookupd, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { z } from 'zod';
import { NSQ_TIMES, openWriter } from './connection.ts';

const test = withParts(ava, 'nsq');
const FIXTURE = fileURLToPath(new URL('ending.fixture.ts', import.meta.url));

/** Runs the fixture: how it ended, how long it went on after closing the broker, and which timers ran then. */
async function run(...servers: readonly string[]) {
  const child = spawn(process.execPath, [FIXTURE, ...servers], { stdio: ['ignore', 'pipe', 'pipe'] });
  const closedAt = once(child.stdout, 'data').then(() => performance.now());
  const [open, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  const timers = z
    .array(z.string())
    .parse(JSON.parse(open))
    .filter((name) => name === 'Timeout');
  return { code, errors, timers, wentOnMs: performance.now() - (await closedAt) };
}

test('A process whose broker is closed ends by itself', async (t) => {
  await using lookupd = await startNsqlookupd();
  await using nsqd = await startNsqd({ lookupds: [lookupd.tcp] });
  const { wentOnMs, ...end } = await run(nsqd.tcp, lookupd.http);
  t.deepEqual(end, { code: 0, errors: '', timers: [] });
  t.true(wentOnMs < 5000, `${wentOnMs} ms`);
});

test('It ends by itself where nsqd is away or frozen, too', async (t) => {
  await using away = await startNsqd();
  await away.kill();
  await using frozen = await startNsqd();
  await frozen.freeze();
  for (const server of [away, frozen]) {
    const { wentOnMs, ...end } = await run(server.tcp);
    t.deepEqual(end, { code: 0, errors: '', timers: [] });
    t.true(wentOnMs < 5000, `${wentOnMs} ms`);
  }
});

test('A connection that is given up in any of its first turns is closed', async (t) => {
  await using nsqd = await startNsqd();
  const [host = '', port] = nsqd.tcp.split(':');
  for (let turns = 0; turns < 30; turns += 1) {
    const stop = new AbortController();
    const opening = openWriter({ host, port: Number(port) }, { times: NSQ_TIMES }, stop.signal);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    stop.abort();
    await t.throwsAsync(opening, undefined, `after ${turns} turns`);
  }
});
