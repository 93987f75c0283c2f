import { isPlatformError } from '@morpheo/common';
import { withParts } from '@morpheo/real-parts';
import { openDatabase } from '@morpheo/service/database';
import { sharedPostgres } from '@morpheo/service/database/testing';
import ava from 'ava';
import type { StoredBlob } from './blob-store/index.ts';
import { createResourceStore } from './resource-store.ts';
import { type StorageDatabase, type StorageSchema, storageMigrations } from './schema.ts';
import { createStagedStore } from './staged-store.ts';
import { id, sha256, sorted } from './testing/requests.ts';

const test = withParts(ava.serial, 'postgres');
const postgres = sharedPostgres(ava);

/** The stores of two services on one database, that database to look into, and how many writes were begun. */
async function openTwo() {
  await using stack = new AsyncDisposableStack();
  const server = await postgres();
  const address = stack.use(await server.createDatabase());
  const open = async (): Promise<StorageDatabase> =>
    stack.use(
      await openDatabase<StorageSchema>(
        { engine: 'postgres', address, poolSize: 8 },
        { owner: 'storage_api', migrations: storageMigrations },
      ),
    );
  const databases = [await open(), await open()] as const;
  let writes = 0;
  const counted = (database: StorageDatabase): StorageDatabase =>
    Object.create(database, {
      write: {
        value: ((work) =>
          database.write(async (transaction) => {
            writes += 1;
            return await work(transaction);
          })) satisfies StorageDatabase['write'],
      },
    });
  const stores = databases.map(counted).map((database) => ({
    resources: createResourceStore(database),
    staged: createStagedStore(database),
  }));
  const opened = stack.move();
  return {
    store: (index: number) => {
      const store = stores[index % 2];
      if (store === undefined) throw new Error('there are two');
      return store;
    },
    database: databases[0],
    writes: () => writes,
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** How often something went well; that it was refused is an answer as well, that it broke is not. */
async function successes(calls: readonly Promise<unknown>[]): Promise<number> {
  const outcomes = await Promise.allSettled(calls);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected' && !isPlatformError(outcome.reason, 'conflict', 'not_found', 'in_use'))
      throw outcome.reason;
  }
  return outcomes.filter(({ status }) => status === 'fulfilled').length;
}

const blob = (text: string) => ({ digest: sha256(text), size: text.length });

test('Of two services that store under one id one succeeds', async (t) => {
  await using two = await openTwo();
  for (let round = 0; round < 20; round++) {
    const calls = Array.from({ length: 4 }, (_, index) =>
      two.store(index).resources.insert({ type: 'data', uuid: id(round) }, blob(`${round} ${index}`)),
    );
    t.is(await successes(calls), 1);
  }
});

test('An algo is not deleted by one service while the other stores a model of it', async (t) => {
  await using two = await openTwo();
  for (let round = 0; round < 40; round++) {
    const [algo, model] = [id(2 * round), id(2 * round + 1)];
    await two.store(0).resources.insert({ type: 'algo', uuid: algo }, blob('algo'));
    const calls = [
      two.store(0).resources.insert({ type: 'model', uuid: model, algo }, blob('model')),
      two.store(1).resources.remove('algo', algo),
    ];
    t.is(await successes(calls), 1);
  }
});

test('Of the results of an order one is published, whoever is asked', async (t) => {
  await using two = await openTwo();
  for (let round = 0; round < 20; round++) {
    const order = id(round);
    for (const attempt of [1, 2]) {
      const result = { order, attempt, type: 'prediction', uuid: id(1000 * attempt + round) } as const;
      await two.store(attempt).staged.stage(result, blob(`${round} ${attempt}`));
    }
    const calls = [0, 1, 2, 3].map((index) => two.store(index).staged.publish(order, 1 + (index >> 1)));
    t.is(await successes(calls), 2);
  }
  const rows = await two.database.read.selectFrom('resources').select('order_id').execute();
  t.is(rows.length, 20);
  t.is(new Set(rows.map((row) => row.order_id)).size, 20);
});

test('Who changes, publishes and deletes things of its own waits for nobody in a circle, whatever bytes they share', async (t) => {
  t.timeout(120_000);
  await using two = await openTwo();
  const blobs = ['a', 'b', 'c'].map(blob);
  const some = (): StoredBlob => blobs[Math.floor(Math.random() * blobs.length)] ?? blob('a');
  const act = async (index: number): Promise<number> => {
    const { resources, staged } = two.store(index);
    const result = (attempt: number) =>
      ({ order: id(index), attempt, type: 'prediction', uuid: id(1000 + index) }) as const;
    const own = id(2000 + index);
    const acts = [
      () => resources.insert({ type: 'problem', uuid: own }, some()),
      () => resources.changeProblem(own, { blob: some() }),
      () => resources.changeProblem(own, { blob: some() }),
      () => staged.stage(result(1), some()),
      () => staged.stage(result(1), some()),
      () => staged.stage(result(2), some()),
      () => staged.publish(id(index), 2),
      () => resources.remove('prediction', id(1000 + index)),
      () => resources.remove('problem', own),
    ];
    for (let round = 0; round < 5; round++) {
      for (const one of acts) await successes([one()]);
    }
    return 5 * acts.length;
  };
  const acts = await Promise.all(Array.from({ length: 10 }, async (_, index) => await act(index)));
  const asked = acts.reduce((sum, count) => sum + count, 0);
  t.is(two.writes(), asked, 'a write that met a deadlock would have been begun again');
});

test('Whatever two services add and delete at once, blobs are those that are referred to', async (t) => {
  t.timeout(120_000);
  await using two = await openTwo();
  const act = async (index: number): Promise<void> => {
    const { resources, staged } = two.store(index);
    for (let round = 0; round < 25; round++) {
      const [uuid, bytes] = [id(Math.floor(Math.random() * 6)), blob(`${Math.floor(Math.random() * 3)}`)];
      const order = { order: uuid, attempt: 1, type: 'prediction', uuid } as const;
      const acts = [
        () => resources.insert({ type: 'problem', uuid }, bytes),
        () => resources.insert({ type: 'problem', uuid }, bytes),
        () => resources.remove('problem', uuid),
        () => resources.changeProblem(uuid, { blob: bytes }),
        () => staged.stage(order, bytes),
        () => staged.discard(uuid),
      ];
      await successes([acts[Math.floor(Math.random() * acts.length)]?.() ?? Promise.resolve()]);
    }
  };
  await Promise.all(Array.from({ length: 10 }, async (_, index) => await act(index)));
  const { read } = two.database;
  const kept = await read.selectFrom('blobs').select('sha256').execute();
  const referred = await read
    .selectFrom('resources')
    .select('sha256')
    .union(read.selectFrom('staged').select('sha256'))
    .execute();
  t.deepEqual(sorted(kept.map((row) => row.sha256)), sorted(referred.map((row) => row.sha256)));
});
