import { randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { memoryLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { LeaseKeeper, type LeaseOptions, type Loss } from './lease-keeper.ts';
import type { Held, Renewal } from './session.ts';

function open(terms: { lease_ms: number; renew_ms: number }, answer: (attempts: Held[]) => Promise<Renewal>) {
  const renewals: Held[][] = [];
  const superseded: unknown[] = [];
  const log = memoryLog();
  const renew: LeaseOptions['renew'] = async (attempts) => {
    renewals.push(attempts);
    return await answer(attempts);
  };
  const keeper = new LeaseKeeper({ renew, onSuperseded: (error) => superseded.push(error), log });
  keeper.start(terms);
  return { keeper, renewals, superseded, log, [Symbol.asyncDispose]: () => keeper.stop() };
}

const attempt = (): Held => ({ order: randomUUID(), attempt: 1 });
const all = async (held: Held[]): Promise<Renewal> => ({ held, lost: [], lease_ms: 30_000 });

test('All leases are renewed in one call again and again', async (t) => {
  await using bench = open({ lease_ms: 30_000, renew_ms: 5 }, all);
  const held = [attempt(), attempt()];
  for (const one of held) bench.keeper.hold(one, performance.now(), () => t.fail());
  await eventually(t, (inner) => inner.true(bench.renewals.length > 3));
  t.deepEqual(bench.renewals.at(-1), held);
});

test('A worker without attempts gives signs of life', async (t) => {
  await using bench = open({ lease_ms: 30_000, renew_ms: 5 }, all);
  await eventually(t, (inner) => inner.true(bench.renewals.length > 1));
  t.deepEqual(bench.renewals.at(-1), []);
});

test('A lost attempt is told why and renewed no more', async (t) => {
  const [kept, gone] = [attempt(), attempt()];
  const lost = [{ ...gone, reason: 'cancelled' as const }];
  await using bench = open({ lease_ms: 30_000, renew_ms: 60_000 }, async () => ({
    held: [kept],
    lost,
    lease_ms: 30_000,
  }));
  const told: Loss[] = [];
  bench.keeper.hold(kept, performance.now(), () => t.fail());
  bench.keeper.hold(gone, performance.now(), (why) => told.push(why));
  bench.keeper.renewNow();
  await eventually(t, (inner) => inner.deepEqual(told, ['cancelled']));
  bench.keeper.renewNow();
  await eventually(t, (inner) => inner.deepEqual(bench.renewals.at(-1), [kept]));
});

test('Attempts that cannot be renewed are given up before the lease ends', async (t) => {
  const away = async () => Promise.reject(new PlatformError('unavailable', 'compute-api is away.'));
  await using bench = open({ lease_ms: 150, renew_ms: 10 }, away);
  const since = performance.now();
  const lost = Promise.withResolvers<Loss>();
  bench.keeper.hold(attempt(), since, lost.resolve);
  t.is(await lost.promise, 'stale');
  const after = performance.now() - since;
  t.true(after >= 100, `given up after ${after} ms`);
  t.is(bench.log.entries.filter(({ message }) => message.includes('could not be renewed')).length, 1);
});

test('A call that hangs does not keep the next from being made', async (t) => {
  let hangs = true;
  await using bench = open({ lease_ms: 90, renew_ms: 10 }, async (held) => await all(held));
  const keeper = new LeaseKeeper({
    renew: async (attempts, signal) => {
      if (!hangs) return { held: attempts, lost: [], lease_ms: 90 };
      hangs = false;
      return await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
    onSuperseded: () => undefined,
    log: bench.log,
  });
  keeper.start({ lease_ms: 90, renew_ms: 10 });
  const held = attempt();
  using _lease = keeper.hold(held, performance.now(), () => undefined);
  await eventually(t, (inner) => inner.false(hangs));
  await eventually(t, (inner) => inner.true(keeper.holds(held.order)));
  await keeper.stop();
});

test('A wake-up during a renewal makes one more', async (t) => {
  const gate = Promise.withResolvers<void>();
  await using bench = open({ lease_ms: 30_000, renew_ms: 60_000 }, async (held) => {
    await gate.promise;
    return await all(held);
  });
  bench.keeper.renewNow();
  bench.keeper.renewNow();
  bench.keeper.renewNow();
  gate.resolve();
  await eventually(t, (inner) => inner.is(bench.renewals.length, 2));
});

test('A worker whose id was taken over is told so', async (t) => {
  const stale = new PlatformError('stale_attempt', 'Another process is this worker.');
  await using bench = open({ lease_ms: 30_000, renew_ms: 60_000 }, async () => Promise.reject(stale));
  bench.keeper.renewNow();
  await eventually(t, (inner) => inner.deepEqual(bench.superseded, [stale]));
});
