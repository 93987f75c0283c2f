import { PlatformError } from '@morpheo/common';
import { memoryLog } from '@morpheo/service/log';
import test from 'ava';
import { RuntimeHealth } from './runtime-health.ts';

const { signal } = new AbortController();

test('No order is claimed while the runtime is away, which is logged once', async (t) => {
  const log = memoryLog();
  const faults = [new PlatformError('unavailable', 'Docker is away.'), new Error('So it is.')];
  const ping = async () => {
    const fault = faults.shift();
    if (fault !== undefined) throw fault;
  };
  const health = new RuntimeHealth({ ping }, log);
  t.false(await health.isWell(signal));
  t.false(await health.isWell(signal));
  t.true(await health.isWell(signal));
  t.true(await health.isWell(signal));
  t.deepEqual(
    log.entries.map(({ level }) => level),
    ['error', 'info'],
  );
});

test('A ping that is aborted logs nothing of the runtime', async (t) => {
  const log = memoryLog();
  const health = new RuntimeHealth({ ping: async (stop) => stop?.throwIfAborted() }, log);
  const reason = new Error('The worker stops');
  t.is(await t.throwsAsync(health.isWell(AbortSignal.abort(reason))), reason);
  t.is(log.entries.length, 0);
});
