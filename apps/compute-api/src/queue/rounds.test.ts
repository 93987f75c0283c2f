import { randomUUID } from 'node:crypto';
import { ORDER_KINDS, type OrderKind } from '@morpheo/common';
import { type Database, openSqlite } from '@morpheo/service/database';
import test from 'ava';
import fc from 'fast-check';
import { type KyselyPlugin, sql } from 'kysely';
import { COMPUTE_DEFAULTS } from '../config.ts';
import { ComputeDatabase } from '../db/database.ts';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import { keepNeeds, needsIdOf } from '../orders/needs.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { openTestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, emptyQueue, seedQueue } from '../testing/orders.ts';
import type { TestWorker } from '../testing/test-worker.ts';
import { watchedDatabase } from '../testing/watched-database.ts';
import { type Claimant, gatherClaims } from './claim.ts';

const SETTINGS = { ...COMPUTE_DEFAULTS, gpuPatienceMs: 0 };
const OWNERS = ['a', 'b', 'c', 'd'];
const NEEDS = { arch: 'amd64' } as const;
const GPUS = 2;

interface Placed {
  readonly owner: string;
  readonly kind: OrderKind;
  readonly turn: number;
  readonly needy: boolean;
  readonly gpus: number;
  readonly alone: boolean;
}

interface Asked {
  readonly worker: number;
  readonly kinds: readonly OrderKind[];
  readonly most: number;
}

interface Queue {
  readonly orders: readonly Placed[];
  readonly weights: readonly number[];
  /** Claims that come together; between them the owners of before have shares. */
  readonly rounds: readonly (readonly Asked[])[];
}

const kind = fc.constantFrom<OrderKind>('learn', 'predict');
const often = (value: number) => fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.constant(value));
const placed = ({ gpus, alone }: { readonly gpus: boolean; readonly alone: boolean }): fc.Arbitrary<Placed> =>
  fc.record({
    owner: fc.constantFrom(...OWNERS),
    kind,
    turn: fc.integer({ min: 1, max: 12 }),
    needy: fc.boolean(),
    gpus: gpus ? fc.integer({ min: 0, max: GPUS }) : fc.constant(0),
    alone: alone ? often(1).map((one) => one === 1) : fc.constant(false),
  });
const asked: fc.Arbitrary<Asked> = fc.record({
  worker: fc.integer({ min: 0, max: 2 }),
  kinds: fc.oneof(
    fc.constant<OrderKind[]>(['learn', 'predict']),
    kind.map((one) => [one]),
  ),
  most: fc.integer({ min: 1, max: 4 }),
});
const queues: fc.Arbitrary<Queue> = fc.record({ gpus: often(1), alone: often(1) }).chain(({ gpus, alone }) =>
  fc.record({
    orders: fc.array(placed({ gpus: gpus === 1, alone: alone === 1 }), { minLength: 1, maxLength: 30 }),
    weights: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: OWNERS.length, maxLength: OWNERS.length }),
    rounds: fc.array(fc.array(asked, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 }),
  }),
);

/** Removes all orders and places these, so that nothing is left of what was tried before. */
async function place(database: Database<Schema>, orders: readonly Placed[]): Promise<void> {
  const spec = JSON.stringify({ kind: 'learn', uplet: aLearnuplet() });
  await database.write(async (tx) => {
    for (const table of ['events', 'attempts', 'outbox', 'orders', 'shares'] as const)
      await tx.deleteFrom(table).execute();
    await keepNeeds({ db: tx }, [NEEDS]);
    for (const [n, { owner, kind: its, turn, needy, gpus, alone }] of orders.entries()) {
      await sql`
        insert into orders (id, kind, status, spec, identity, problem, workflow, needs, gpus, asks_gpus, alone, owner, turn_at,
          attempt, charged, publishes, events, effects, due_at, created_at)
        values (${String(n).padStart(3, '0')}, ${its}, 'todo', ${spec}, '', '', '', ${needy ? needsIdOf(NEEDS) : ''}, ${gpus},
          ${gpus > 0 ? 1 : 0}, ${alone ? 1 : 0}, ${owner}, ${turn}, 0, 0, 0, 0, 0, 0, ${turn})`.execute(tx);
    }
  });
}

function claimantOf({ worker, kinds, most }: Asked, workers: readonly TestWorker[]): Claimant {
  const { id = '', boot = '' } = workers[worker] ?? {};
  const room = Object.fromEntries(kinds.map((one) => [one, most]));
  return { process: { id, boot, caller: null }, room, most, gpus: worker === 0 ? GPUS : 0 };
}

testOnEngines(
  'Claims that come together get what they would get one after another',
  async (t, openCompute, engine) => {
    await using compute = await openCompute();
    const slots = { learn: 4, predict: 4 };
    const workers = [
      await compute.worker(slots, GPUS),
      await compute.worker(slots, 0, 1, { arch: 'amd64' }),
      await compute.worker(slots),
    ];
    const database = new ComputeDatabase(compute.database, []);
    const together = gatherClaims(database, SETTINGS);
    /** A claim of several as claims of one each, by whoever keeps to the same rules. */
    const alone = async (claimant: Claimant): Promise<string[]> => {
      const room = new Map(Object.entries(claimant.room));
      const ids: string[] = [];
      while (ids.length < claimant.most) {
        const kinds = [...room].filter(([, places]) => places > 0).map(([one]) => [one, 1]);
        const one = gatherClaims(database, SETTINGS);
        const { orders } = await one({ ...claimant, room: Object.fromEntries(kinds), most: 1 });
        const [order] = orders;
        if (order === undefined) break;
        ids.push(order.id);
        room.set(order.kind, (room.get(order.kind) ?? 0) - 1);
        if (order.gpus > 0) break;
      }
      return ids;
    };
    const tried = async (queue: Queue, gathered: boolean) => {
      await place(compute.database, queue.orders);
      const rounds: string[][][] = [];
      for (const round of queue.rounds) {
        const claimants = round.map((one) => claimantOf(one, workers));
        if (gathered) {
          const claimed = await Promise.all(claimants.map(together));
          rounds.push(claimed.map(({ orders }) => orders.map(({ id }) => id)));
        } else {
          const claimed: string[][] = [];
          for (const claimant of claimants) claimed.push(await alone(claimant));
          rounds.push(claimed);
        }
      }
      const { read } = compute.database;
      const shares = await read.selectFrom('shares').selectAll().orderBy('kind').orderBy('owner').execute();
      const columns = ['id', 'status', 'attempt', 'worker', 'gpus_kept_by', 'alone_on', 'events'] as const;
      const orders = await read.selectFrom('orders').select(columns).orderBy('id').execute();
      return { rounds, shares, orders };
    };
    await fc.assert(
      fc.asyncProperty(queues, async (queue) => {
        await compute.database.write(async (tx) => {
          await tx.deleteFrom('owners').execute();
          const owners = queue.weights.map((weight, n) => ({ owner: OWNERS[n] ?? '', weight }));
          await tx.insertInto('owners').values(owners).execute();
        });
        t.deepEqual(await tried(queue, true), await tried(queue, false));
      }),
      { numRuns: engine === 'postgres' ? 8 : 60 },
    );
  },
);

/** The same database; `counted` is called at each statement of a transaction. */
function counting(database: Database<Schema>, counted: () => void): Database<Schema> {
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      counted();
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  return Object.assign(Object.create(database), {
    write: async <T>(work: Parameters<Database<Schema>['write']>[0]) =>
      (await database.write(async (tx) => await work(tx.withPlugin(plugin)))) as T,
  });
}

test('What claims cost in statements grows neither with owners nor with claims that come together', async (t) => {
  await using database = await openSqlite<Schema>({ file: ':memory:', migrations });
  await using compute = await openTestCompute({}, database);
  const { id, boot } = await compute.worker({ learn: 100, predict: 0 });
  let statements = 0;
  const claim = gatherClaims(
    new ComputeDatabase(
      counting(database, () => {
        statements += 1;
      }),
      [],
    ),
    COMPUTE_DEFAULTS,
  );
  const claimant = { process: { id, boot, caller: null }, room: { learn: 1 }, most: 1, gpus: 0 };
  for (const [owners, most] of [
    [1, 7],
    [2, 10],
    [100, 10],
  ] as const) {
    await emptyQueue(compute);
    for (let n = 0; n < owners; n++) await seedQueue(compute, `owner-${n}`, 40);
    for (const claims of [1, 16]) {
      statements = 0;
      const answers = await Promise.all(Array.from({ length: claims }, async () => await claim(claimant)));
      t.is(answers.flatMap(({ orders }) => orders).length, claims);
      t.true(statements <= most, `${statements} statements for ${claims} claims from ${owners} owners`);
    }
  }
});

testOnEngines('A claim gets as many orders of each kind as it has room for', async (t, openCompute) => {
  await using compute = await openCompute();
  const { id: worker, boot } = await compute.worker({ learn: 4, predict: 4 });
  await seedQueue(compute, 'a', 2);
  await seedQueue(compute, 'a', 5, { kind: 'predict' });
  const body = { boot, kinds: [...ORDER_KINDS], most: { learn: 3, predict: 2 } };
  const { claim, claims = [], more } = await compute.api.claimOrder({ params: { worker }, body });
  t.deepEqual(claims.map(({ spec }) => spec.kind).sort(), ['learn', 'learn', 'predict', 'predict']);
  t.deepEqual([claim, more], [claims[0], false]);
  t.is(new Set(claims.map(({ order }) => order)).size, 4);
  const next = await compute.api.claimOrder({ params: { worker }, body: { boot, kinds: ['predict'] } });
  t.truthy(next.claim);
  t.deepEqual(Object.keys(next), ['claim']);
});

testOnEngines(
  'A claim keeps what it got where those that came with it fail after it',
  async (t, openCompute) => {
    await using compute = await openCompute();
    const { id, boot } = await compute.worker({ learn: 100, predict: 0 });
    await seedQueue(compute, 'a', 80);
    let transactions = 0;
    const failing = watchedDatabase(compute.database, async (_, work) => {
      transactions += 1;
      if (transactions > 1) throw new Error('the second fails');
      return await work();
    });
    const claim = gatherClaims(new ComputeDatabase(failing, []), SETTINGS);
    const claimant = { process: { id, boot, caller: null }, room: { learn: 64 }, most: 64, gpus: 0 };
    const [first, second] = await Promise.allSettled([claim(claimant), claim(claimant)]);
    t.is(first.status === 'fulfilled' ? first.value.orders.length : first.reason, 64);
    t.is(second.status, 'rejected');
  },
);

testOnEngines('What is wrong with a claim is its own', async (t, openCompute) => {
  await using compute = await openCompute();
  const { id: worker, boot } = await compute.worker({ learn: 4, predict: 4 });
  await seedQueue(compute, 'a', 2);
  const kinds: OrderKind[] = ['learn'];
  const claims = [
    { params: { worker }, body: { boot, kinds } },
    { params: { worker: randomUUID() }, body: { boot, kinds } },
    { params: { worker }, body: { boot: randomUUID(), kinds } },
    { params: { worker }, body: { boot, kinds } },
  ];
  const answers = await Promise.allSettled(claims.map(async (one) => await compute.api.claimOrder(one)));
  t.deepEqual(
    answers.map((answer) =>
      answer.status === 'fulfilled' ? answer.value.claim?.attempt : answer.reason.code,
    ),
    [1, 'not_found', 'stale_attempt', 1],
  );
});
