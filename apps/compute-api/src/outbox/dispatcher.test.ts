import { openMemoryBroker } from '@morpheo/service/broker';
import { openSqlite } from '@morpheo/service/database';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { COMPUTE_DEFAULTS } from '../config.ts';
import { ComputeDatabase } from '../db/database.ts';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import { FakeChecks, fakeSystems } from '../testing/fake-systems.ts';
import { aLearnuplet } from '../testing/orders.ts';
import { Dispatcher } from './dispatcher.ts';
import { type HeldEffect, PIN_ORDER } from './effects.ts';

function heldPin(): HeldEffect {
  const uplet = aLearnuplet();
  const spec = JSON.stringify({ kind: 'learn', uplet });
  const row = {
    id: uplet.uuid,
    kind: 'learn',
    round: 1,
    owner: '',
    spec,
    sample_of: null,
    trace: null,
  } as const;
  return { order: uplet.uuid, n: 1, tries: 0, effect: PIN_ORDER, trace: null, row };
}

test('A dispatcher that stops waits for what is under way, and begins no check that waits behind it', async (t) => {
  await using database = await openSqlite<Schema>({ file: ':memory:', migrations });
  await using broker = openMemoryBroker();
  const checks = new FakeChecks();
  const [begun, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  checks.before = answer.promise;
  const systems = fakeSystems([], {}, checks);
  const { pinOrders } = systems.storage;
  const storage: typeof systems.storage = {
    ...systems.storage,
    pinOrders: async (...call) => {
      begun.resolve();
      return await pinOrders(...call);
    },
  };
  const dispatcher = new Dispatcher({
    ...{ database: new ComputeDatabase(database, []), broker, settings: COMPUTE_DEFAULTS, log: silentLog },
    ...{ ...systems, storage },
  });
  dispatcher.carry({ holdMs: 1, held: Array.from({ length: 150 }, heldPin), due: new Set() });
  await begun.promise;
  const stopped = dispatcher[Symbol.asyncDispose]();
  answer.resolve();
  await stopped;
  t.deepEqual(
    checks.asked.map((orders) => orders.length),
    [100],
  );
});
