import { PlatformError } from '@morpheo/common';
import { memoryLog } from '@morpheo/service/log';
import test from 'ava';
import { type DummyRuntimeOptions, openDummyRuntime } from '../runtime/dummy/index.ts';
import { someGpus } from '../testing/gpus.ts';
import { findGpus } from './find.ts';
import type { GpuChoice } from './settings.ts';

async function find(choice: GpuChoice, gpus: DummyRuntimeOptions['gpus'] = []) {
  await using runtime = openDummyRuntime({ gpus });
  const log = memoryLog();
  const found = await findGpus({ runtime, choice, log });
  return { indexes: found.map(({ index }) => index), log: log.entries };
}

test('All GPUs of the runtime are leased where nothing else is said', async (t) => {
  for (const choice of ['auto', 'all'] as const) {
    t.deepEqual((await find(choice, someGpus(3).toReversed())).indexes, [0, 1, 2]);
  }
});

test('No GPU is leased where none is to be', async (t) => {
  t.deepEqual((await find('none', someGpus(2))).indexes, []);
});

test('GPUs are chosen by index and by UUID', async (t) => {
  const gpus = someGpus(4);
  t.deepEqual((await find(['2', gpus[0]?.id ?? ''], gpus)).indexes, [0, 2]);
});

test('A chosen GPU that is not there is told and does without', async (t) => {
  const { indexes, log } = await find(['1', '7'], someGpus(2));
  t.deepEqual(indexes, [1]);
  t.like(
    log.find(({ level }) => level === 'error'),
    { missing: ['7'] },
  );
});

test('A runtime that fails to find its GPUs has none', async (t) => {
  for (const choice of ['auto', 'all', ['0']] as const) {
    const { indexes, log } = await find(choice, new PlatformError('unavailable', 'No nvidia-smi here.'));
    t.deepEqual(indexes, []);
    t.is(log.filter(({ level }) => level === 'warn').length, 1);
  }
});

test('A machine without GPUs is worth a line only where some were expected', async (t) => {
  t.deepEqual((await find('auto')).log, []);
  t.is((await find('all')).log.length, 1);
});
