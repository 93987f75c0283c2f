import { PlatformError } from '@morpheo/common';
import { memoryLog, silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openDummyRuntime } from '../runtime/dummy/index.ts';
import { someGpus } from '../testing/gpus.ts';
import { openTestWorker, reportOf } from '../testing/test-worker.ts';
import { GpuAllocator } from './allocator.ts';
import { searchGpus } from './find.ts';

/** A dummy that does not answer until it is told to. */
function lateRuntime(gpus = someGpus(1)) {
  let isUp = false;
  const runtime = openDummyRuntime({ gpus });
  const ping = async () => {
    if (!isUp) throw new PlatformError('unavailable', 'The daemon starts.');
  };
  return {
    runtime: Object.assign(runtime, { ping }),
    answer: () => {
      isUp = true;
    },
  };
}

test('The GPUs of a runtime that answers are there at once', async (t) => {
  await using runtime = openDummyRuntime({ gpus: someGpus(2) });
  const gpus = new GpuAllocator([]);
  await using _search = await searchGpus({ runtime, choice: 'auto', gpus, log: silentLog });
  t.is(gpus.free, 2);
});

test('A runtime that does not answer holds up nothing', async (t) => {
  await using runtime = lateRuntime().runtime;
  const gpus = new GpuAllocator([]);
  const log = memoryLog();
  await using search = await searchGpus({ runtime, choice: 'auto', gpus, log, everyMs: 5 });
  t.is(gpus.free, 0);
  await search[Symbol.asyncDispose]();
  t.deepEqual(log.entries, []);
});

test('GPUs that are found late are told and used', async (t) => {
  const { runtime, answer } = lateRuntime();
  await using setup = await openTestWorker({ openRuntime: async () => runtime, pollMs: 20 });
  await eventually(t, (inner) => inner.is(setup.compute.registrations.length, 1));
  t.like(setup.compute.registrations[0], { gpus: { devices: [] } });
  const order = setup.learn({ gpus: 1 });
  answer();
  await eventually(t, (inner) => inner.is(reportOf(order).outcome, 'done'));
  t.like(setup.compute.registrations[1], { gpus: { devices: [{ id: someGpus(1)[0]?.id }] } });
});
