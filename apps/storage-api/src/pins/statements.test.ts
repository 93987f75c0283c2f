import type { PinRequest } from '@morpheo/common';
import type { KyselyPlugin } from 'kysely';
import { DEFAULT_SETTINGS } from '../config/settings.ts';
import type { StorageDatabase } from '../metadata/schema.ts';
import { createPeopleRights } from '../people/rights.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { learnRequest, NAMED, uploadNamed } from '../testing/pins.ts';
import { id, sha256 } from '../testing/requests.ts';
import { pinOrders } from './pin.ts';

const RULES = { people: createPeopleRights(() => undefined), rules: DEFAULT_SETTINGS, outputsOpen: false };

/** Stores data sets of the same bytes, by rows alone. */
async function storeData({ database }: TestStorage, from: number, count: number): Promise<string[]> {
  const uuids = Array.from({ length: count }, (_, n) => id(from + n));
  const rows = uuids.map((uuid, n) => ({
    ...{ type: 'data' as const, uuid, sha256: sha256('train'), size: 5, uploaded_at: 1, seq: from + n },
    ...{ owner: 'ann', visibility: 'private' as const, purpose: 'open' as const, problems: '' },
  }));
  await database.write(async (transaction) => {
    await transaction.insertInto('resources').values(rows).execute();
  });
  return uuids;
}

/** A training order that names these data sets. */
function orderOf(number: number, data: readonly string[]): PinRequest {
  return learnRequest(number, {
    uses: [
      { type: 'problem', uuid: NAMED.problem, as: 'problem' },
      { type: 'algo', uuid: NAMED.algo, as: 'algo' },
      { type: 'data', uuid: NAMED.test, as: 'test' },
      ...data.map((uuid) => ({ type: 'data' as const, uuid, as: 'train' as const })),
    ],
  });
}

/** Pins orders, and tells how many statements that took. */
async function statementsOf({ database }: TestStorage, orders: readonly PinRequest[]): Promise<number> {
  let statements = 0;
  const counter: KyselyPlugin = {
    transformQuery: ({ node }) => {
      statements++;
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const counted: StorageDatabase = {
    ...{ engine: database.engine, read: database.read, now: database.now },
    write: async (work) => await database.write(async (tx) => await work(tx.withPlugin(counter))),
    notify: (channel, text) => database.notify(channel, text),
    listen: (...how) => database.listen(...how),
    ping: async (signal) => await database.ping(signal),
    [Symbol.asyncDispose]: async () => undefined,
  };
  const answers = await pinOrders(counted, RULES, orders);
  if (answers.some(({ outcome }) => outcome !== 'pinned')) throw new Error(JSON.stringify(answers));
  return statements;
}

testOnEngines('A call takes as many statements for a thousand data sets as for two', async (t, open) => {
  await using storage = await open();
  await uploadNamed(storage);
  const few = await statementsOf(storage, [orderOf(1, await storeData(storage, 10_000, 2))]);
  t.true(few > 5, `${few} statements`);
  const many = await storeData(storage, 20_000, 1000);
  t.is(await statementsOf(storage, [orderOf(2, many)]), few);
  const more = await storeData(storage, 30_000, 1000);
  const together = Array.from({ length: 20 }, (_, n) => orderOf(3 + n, more));
  t.is(await statementsOf(storage, together), few, 'nor for twenty orders in a call');
});
