import { type Learnuplet, ORDER_KINDS, type OrderKind, type Role } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import fc from 'fast-check';
import { sql } from 'kysely';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet, emptyQueue, seedQueue } from '../testing/orders.ts';
import type { TestWorker } from '../testing/test-worker.ts';

const SLOTS = { learn: 4, predict: 4 };

function caller(name: string, ...roles: Role[]) {
  return { principal: { name, roles } };
}

async function order({ api }: TestCompute, owner: string, members: Partial<Learnuplet> = {}) {
  const body = aLearnuplet(members);
  await api.learn({ body }, caller(owner, 'orchestrator'));
  return body.uuid;
}

async function weigh({ api }: TestCompute, owner: string, weight: number): Promise<void> {
  await api.setOwner({ params: { owner }, body: { weight } });
}

/** Claims `count` orders, and tells whose they were. */
async function claimOwners({ database }: TestCompute, worker: TestWorker, count: number): Promise<string[]> {
  const owners: string[] = [];
  for (let n = 0; n < count; n++) {
    const { order: id } = await worker.mustClaim();
    const row = await database.read
      .selectFrom('orders')
      .select('owner')
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    owners.push(row.owner);
  }
  return owners;
}

testOnEngines('Owners with a backlog are served by their weights', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  const weights = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(weights, async (given) => {
      await emptyQueue(compute);
      const owners = given.map((weight, n) => ({ name: `owner-${n}`, weight, served: 0 }));
      for (const { name, weight } of owners) {
        await weigh(compute, name, weight);
        await seedQueue(compute, name, 30);
      }
      for (const name of await claimOwners(compute, worker, 30)) {
        for (const owner of owners) if (owner.name === name) owner.served++;
        for (const one of owners) {
          for (const other of owners) {
            const apart = Math.abs(one.served / one.weight - other.served / other.weight);
            t.true(apart <= 1 / one.weight + 1 / other.weight + 0.001, JSON.stringify(owners));
          }
        }
      }
    }),
    { numRuns: 6 },
  );
});

testOnEngines("A new owner's first order waits for a claim of each other", async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  const cases = fc.record({
    weights: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }),
    before: fc.integer({ min: 0, max: 8 }),
    // It may have been served before, have made room for the others, and be back.
    known: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ weights, before, known }) => {
      await emptyQueue(compute);
      for (const [n, weight] of weights.entries()) {
        await weigh(compute, `owner-${n}`, weight);
        await seedQueue(compute, `owner-${n}`, 40);
      }
      await claimOwners(compute, worker, before);
      if (known) {
        await order(compute, 'new');
        const others = weights.reduce((sum, weight) => sum + weight + 1, 0);
        await claimOwners(compute, worker, weights.length + 1 + others);
      }
      await order(compute, 'new');
      t.true((await claimOwners(compute, worker, weights.length + 1)).includes('new'));
    }),
    { numRuns: 6 },
  );
});

testOnEngines('Ten thousand orders of one owner keep no other waiting', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  await seedQueue(compute, 'many', 10_000);
  await claimOwners(compute, worker, 20);
  const first = await order(compute, 'other');
  const view = await compute.api.getOrder({ params: { id: first } });
  t.like(view, { owner: 'other', priority: 0 });
  t.true((view.queue?.place ?? 0) <= 2);
  // Whoever claims passes over an order whose announcement is being noted.
  await eventually(t, (t) => t.true(compute.published.some(({ message }) => message.includes(first))));
  t.true((await claimOwners(compute, worker, 2)).includes('other'));
});

testOnEngines('No owner with due orders is left out', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  const owners = fc.constantFrom('a', 'b', 'c', 'd');
  const steps = fc.array(fc.record({ owner: owners, orders: fc.integer({ min: 1, max: 3 }) }), {
    minLength: 5,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      await emptyQueue(compute);
      const due = new Map<string, number>();
      const waited = new Map<string, number>();
      for (const { owner, orders } of script) {
        for (let n = 0; n < orders; n++) await order(compute, owner);
        due.set(owner, (due.get(owner) ?? 0) + orders);
        const [served = ''] = await claimOwners(compute, worker, 1);
        due.set(served, (due.get(served) ?? 0) - 1);
        for (const [name, count] of due) {
          waited.set(name, name === served || count === 0 ? 0 : (waited.get(name) ?? 0) + 1);
          // Of equal weights: whoever came while it waits goes before it once, and whoever was there twice at most.
          t.true((waited.get(name) ?? 0) <= 6, `${name} waited for ${waited.get(name)} claims`);
        }
      }
    }),
    { numRuns: 6 },
  );
});

testOnEngines("An owner's orders go by priority, then by age", async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  const ids: string[] = [];
  for (const priority of [0, -10, 10, 0, 10]) ids.push(await order(compute, 'a', { priority }));
  const claimed: string[] = [];
  for (let n = 0; n < ids.length; n++) claimed.push((await worker.mustClaim()).order);
  t.deepEqual(
    claimed.map((id) => ids.indexOf(id)),
    [2, 4, 0, 3, 1],
  );
});

testOnEngines('Orders of one moment are claimed by their ids', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  const ids: string[] = [];
  for (let n = 0; n < 6; n++) ids.push(await order(compute, 'a'));
  await compute.database.write(async (tx) => await tx.updateTable('orders').set({ turn_at: 0 }).execute());
  const claimed: string[] = [];
  for (let n = 0; n < ids.length; n++) claimed.push((await worker.mustClaim()).order);
  t.deepEqual(
    claimed,
    ids.toSorted((a, b) => (a < b ? -1 : 1)),
  );
});

for (const [levels, goesFirst] of [
  [19, false],
  [21, true],
] as const) {
  const does = goesFirst ? 'goes before' : 'still waits for';
  testOnEngines(
    `An order of lowest priority ${does} one of highest after ${levels} levels`,
    async (t, open) => {
      await using compute = await open({ ageingMs: 60_000 });
      const worker = await compute.worker(SLOTS);
      const old = await order(compute, 'a', { priority: -10 });
      // As though it had waited so long.
      await compute.database.write(
        async (tx) =>
          await tx
            .updateTable('orders')
            .set({ turn_at: sql<number>`turn_at - ${levels * 60_000}` })
            .execute(),
      );
      await order(compute, 'a', { priority: 10 });
      // Whoever claims passes over an order whose announcement is being noted.
      await eventually(t, (t) => t.is(new Set(compute.published.map(({ message }) => message)).size, 2));
      t.is((await worker.mustClaim()).order === old, goesFirst);
    },
  );
}

testOnEngines("An owner's priority does not go before another owner", async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  await order(compute, 'modest');
  for (let n = 0; n < 4; n++) {
    await order(compute, 'pushing', { priority: 10 });
    await order(compute, 'modest');
  }
  const owners = await claimOwners(compute, worker, 6);
  t.is(owners.filter((owner) => owner === 'modest').length, 3, owners.join());
});

testOnEngines('Claims without rivals cost an owner nothing', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  await seedQueue(compute, 'alone', 10);
  await claimOwners(compute, worker, 5);
  t.deepEqual(await compute.database.read.selectFrom('shares').selectAll().execute(), []);
});

testOnEngines('An owner is counted over all kinds', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  await seedQueue(compute, 'a', 10);
  await seedQueue(compute, 'b', 10);
  await claimOwners(compute, worker, 10);
  const [older, younger] = [aPreduplet(), aPreduplet()];
  await compute.api.pred({ body: older }, caller('a', 'orchestrator'));
  await compute.api.pred({ body: younger }, caller('c', 'orchestrator'));
  t.is((await worker.mustClaim(0, ['predict'])).order, younger.uuid);
  t.is((await worker.mustClaim(0, ['predict'])).order, older.uuid);
});

testOnEngines(
  'Trainings without rivals count among predictions that have some',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const worker = await compute.worker(SLOTS);
    await seedQueue(compute, 'a', 20);
    for (const owner of ['a', 'b']) await seedQueue(compute, owner, 20, { kind: 'predict' });
    const claims = { a: 0, b: 0 };
    for (let n = 0; n < 12; n++) {
      // However many there are between two predictions, they are counted as one.
      await worker.mustClaim(0, ['learn']);
      if (n < 3) await worker.mustClaim(0, ['learn']);
      const { owner } = await worker.mustClaim(0, ['predict']);
      claims[owner as 'a' | 'b']++;
    }
    t.deepEqual(claims, { a: 4, b: 8 });
  },
);

testOnEngines('Each kind is shared by what its owners have of all kinds', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  const owner = fc.record({
    weight: fc.integer({ min: 1, max: 5 }),
    kinds: fc.constantFrom<OrderKind[]>(['learn'], ['predict'], ['learn', 'predict']),
  });
  const cases = fc.record({
    given: fc.array(owner, { minLength: 2, maxLength: 4 }),
    slots: fc.array(fc.constantFrom<OrderKind>('learn', 'predict'), { minLength: 20, maxLength: 20 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ given, slots }) => {
      await emptyQueue(compute);
      const owners = given.map((one, n) => ({ ...one, name: `owner-${n}`, claims: [] as OrderKind[] }));
      for (const { name, weight, kinds } of owners) {
        await weigh(compute, name, weight);
        for (const kind of kinds) await seedQueue(compute, name, 20, { kind });
      }
      for (const slot of slots) {
        const claim = await worker.claim(0, [slot]);
        owners.find(({ name }) => name === claim?.owner)?.claims.push(slot);
        for (const kind of ORDER_KINDS) {
          const rivals = owners.filter(({ kinds }) => kinds.includes(kind));
          for (const one of rivals) {
            for (const other of rivals) {
              const apart = Math.abs(
                countedAs(kind, one) / one.weight - countedAs(kind, other) / other.weight,
              );
              t.true(apart <= 2 / one.weight + 2 / other.weight + 0.001, JSON.stringify({ kind, owners }));
            }
          }
        }
      }
    }),
    { numRuns: 6 },
  );
});

/** As how many claims of a kind those of an owner count: one each, and one for those of other kinds before the next. */
function countedAs(kind: OrderKind, { claims }: { readonly claims: readonly OrderKind[] }): number {
  return claims.filter((claimed, n) => claimed === kind || n === 0 || claims[n - 1] === kind).length;
}

testOnEngines('Claims at the same time get different orders', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  for (const owner of ['a', 'b', 'c']) await seedQueue(compute, owner, 4);
  const claims = await Promise.all(Array.from({ length: 12 }, async () => await worker.mustClaim()));
  t.is(new Set(claims.map((claim) => claim.order)).size, 12);
  t.is(await worker.claim(), null);
});

testOnEngines('An owner that waits for GPUs is not in the way', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS, 1);
  await order(compute, 'greedy', { gpus: 4 });
  const small = await order(compute, 'modest', { gpus: 1 });
  const none = await order(compute, 'greedy');
  t.is((await worker.mustClaim(1)).order, small);
  t.is((await worker.mustClaim(0)).order, none);
});

testOnEngines('An order for which GPUs were reserved goes first', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ gpuPatienceMs: 0 });
  const worker = await compute.worker(SLOTS, 2);
  const big = await order(compute, 'a', { gpus: 2 });
  t.is(await worker.claim(1), null);
  for (let n = 0; n < 2; n++) await order(compute, 'b', { gpus: 1, priority: 10 });
  await order(compute, 'a', { gpus: 1, priority: 10 });
  t.is(await worker.claim(1), null);
  t.is((await worker.mustClaim(2)).order, big);
});
