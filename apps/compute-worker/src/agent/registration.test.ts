import { randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { GpuAllocator } from '../gpus/allocator.ts';
import { MemoryCompute } from '../testing/memory-compute.ts';
import { Registration } from './registration.ts';

const { signal } = new AbortController();

function open() {
  const compute = new MemoryCompute();
  const superseded: unknown[] = [];
  const registration = new Registration({
    compute: compute.api,
    worker: randomUUID(),
    info: { boot: randomUUID(), name: 'test', runtime: 'dummy', slots: { learn: 1, predict: 1 } },
    gpus: new GpuAllocator([]),
    signal,
    onSuperseded: (error) => superseded.push(error),
    log: silentLog,
  });
  return { compute, registration, superseded };
}

for (const call of ['renewLeases', 'claimOrder'] as const) {
  test(`A worker whose id was taken over learns it by ${call}`, async (t) => {
    const { compute, registration, superseded } = open();
    const stale = new PlatformError('stale_attempt', 'Another process is this worker.');
    compute.fault = (made) => (made === call ? stale : undefined);
    const calling =
      call === 'claimOrder' ? registration.claim({ learn: 1 }, signal) : registration.renew([], signal);
    t.is(await t.throwsAsync(calling), stale);
    t.deepEqual(superseded, [stale]);
  });
}

test('A worker that has moved registers once its earlier process is silent', async (t) => {
  const { compute, registration, superseded } = open();
  const refusals = [heardOf(1), heardOf(1)];
  compute.fault = (made) => (made === 'registerWorker' ? refusals.shift() : undefined);
  t.deepEqual(await registration.registered(), compute.terms);
  t.is(compute.count('registerWorker'), 3);
  t.deepEqual(superseded, []);
});

test('A worker that has moved stops once it knows that its earlier process lives', async (t) => {
  const { compute, registration, superseded } = open();
  const refusals = [heardOf(1), heardOf(1), heardOf(2)];
  compute.fault = (made) => (made === 'registerWorker' ? refusals.shift() : undefined);
  const error = await t.throwsAsync(registration.registered(), { code: 'conflict' });
  t.deepEqual(superseded, [error]);
  t.is(compute.count('registerWorker'), 3);
});

function heardOf(seenAt: number): PlatformError {
  return new PlatformError('conflict', 'Another process is this worker.', { details: { seen_at: seenAt } });
}
