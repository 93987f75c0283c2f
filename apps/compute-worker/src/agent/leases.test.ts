import { randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { memoryLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { Leases, type LostReason } from './leases.ts';
import type { Held, Registration, Renewal } from './registration.ts';

function open(terms: { lease_ms: number; renew_ms: number }, answer: (attempts: Held[]) => Promise<Renewal>) {
  const renewals: Held[][] = [];
  const log = memoryLog();
  const renew: Registration['renew'] = async (attempts) => {
    renewals.push(attempts);
    return await answer(attempts);
  };
  const leases = new Leases({ renew }, log);
  leases.start(terms);
  return { leases, renewals, log, [Symbol.asyncDispose]: () => leases.stop() };
}

const attempt = (): Held => ({ order: randomUUID(), attempt: 1 });
const all = async (held: Held[]): Promise<Renewal> => ({ held, lost: [], lease_ms: 30_000 });

test('All leases are renewed in one call again and again', async (t) => {
  await using setup = open({ lease_ms: 30_000, renew_ms: 5 }, all);
  const held = [attempt(), attempt()];
  for (const one of held) setup.leases.hold(one, performance.now(), { onLost: () => t.fail() });
  await eventually(t, (inner) => inner.true(setup.renewals.length > 3));
  t.deepEqual(setup.renewals.at(-1), held);
});

test('A worker without attempts gives signs of life', async (t) => {
  await using setup = open({ lease_ms: 30_000, renew_ms: 5 }, all);
  await eventually(t, (inner) => inner.true(setup.renewals.length > 1));
  t.deepEqual(setup.renewals.at(-1), []);
});

test('A lost attempt ends with its reason and is renewed no more', async (t) => {
  const [kept, gone] = [attempt(), attempt()];
  const lost = [{ ...gone, reason: 'cancelled' as const }];
  await using setup = open({ lease_ms: 30_000, renew_ms: 60_000 }, async () => ({
    held: [kept],
    lost,
    lease_ms: 30_000,
  }));
  const reasons: LostReason[] = [];
  setup.leases.hold(kept, performance.now(), { onLost: () => t.fail() });
  setup.leases.hold(gone, performance.now(), { onLost: (reason) => reasons.push(reason) });
  setup.leases.renewNow();
  await eventually(t, (inner) => inner.deepEqual(reasons, ['cancelled']));
  setup.leases.renewNow();
  await eventually(t, (inner) => inner.deepEqual(setup.renewals.at(-1), [kept]));
});

test('Attempts that cannot be renewed expire before the lease ends', async (t) => {
  const away = async () => Promise.reject(new PlatformError('unavailable', 'compute-api is away.'));
  await using setup = open({ lease_ms: 150, renew_ms: 10 }, away);
  const since = performance.now();
  const lost = Promise.withResolvers<LostReason>();
  setup.leases.hold(attempt(), since, { onLost: lost.resolve });
  t.is(await lost.promise, 'stale');
  const after = performance.now() - since;
  t.true(after >= 100, `given up after ${after} ms`);
  t.is(setup.log.entries.filter(({ message }) => message.includes('could not be renewed')).length, 1);
});

test('A call that hangs does not keep the next from being made', async (t) => {
  let calls = 0;
  await using setup = open({ lease_ms: 6000, renew_ms: 10 }, async (held) => await all(held));
  const renew: Registration['renew'] = async (attempts, signal) => {
    calls += 1;
    if (calls > 1) return { held: attempts, lost: [], lease_ms: 60_000 };
    return await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const leases = new Leases({ renew }, setup.log);
  leases.start({ lease_ms: 6000, renew_ms: 10 });
  const held = attempt();
  using _lease = leases.hold(held, performance.now(), { onLost: () => undefined });
  await eventually(t, (inner) => inner.true(calls > 1));
  t.true(leases.holds(held.order));
  await leases.stop();
});

test('A wake-up during a renewal makes one more', async (t) => {
  const gate = Promise.withResolvers<void>();
  await using setup = open({ lease_ms: 30_000, renew_ms: 60_000 }, async (held) => {
    await gate.promise;
    return await all(held);
  });
  setup.leases.renewNow();
  setup.leases.renewNow();
  setup.leases.renewNow();
  gate.resolve();
  await eventually(t, (inner) => inner.is(setup.renewals.length, 2));
});
