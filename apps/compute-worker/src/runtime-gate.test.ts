import { PlatformError } from '@morpheo/common';
import { memoryLog } from '@morpheo/service/log';
import test from 'ava';
import { RuntimeGate } from './runtime-gate.ts';

const { signal } = new AbortController();

test('No order is taken while the runtime is away, which is said once', async (t) => {
  const log = memoryLog();
  const faults = [new PlatformError('unavailable', 'Docker is away.'), new Error('So it is.')];
  const ping = async () => {
    const fault = faults.shift();
    if (fault !== undefined) throw fault;
  };
  const gate = new RuntimeGate({ ping }, log);
  t.false(await gate.isOpen(signal));
  t.false(await gate.isOpen(signal));
  t.true(await gate.isOpen(signal));
  t.true(await gate.isOpen(signal));
  t.deepEqual(
    log.entries.map(({ level }) => level),
    ['error', 'info'],
  );
});

test('A gate that is given up says nothing of the runtime', async (t) => {
  const log = memoryLog();
  const gate = new RuntimeGate({ ping: async (stop) => stop?.throwIfAborted() }, log);
  const reason = new Error('The worker stops');
  t.is(await t.throwsAsync(gate.isOpen(AbortSignal.abort(reason))), reason);
  t.is(log.entries.length, 0);
});
