import type { AttemptEvent, Claim, OrderKind } from '@morpheo/common';
import { type Database, openDatabase } from '@morpheo/service/database';
import { countWire, onEngines, type TestPlace } from '@morpheo/service/database/testing';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { migrations } from './db/migrations.ts';
import type { Schema } from './db/schema.ts';
import { openTestCompute, type TestCompute } from './testing/open-test-compute.ts';
import { aJob, aLearnuplet, aPreduplet } from './testing/orders.ts';
import { resultOf, type TestWorker } from './testing/test-worker.ts';
import { watchedDatabase } from './testing/watched-database.ts';

const opened = { owner: 'compute_api', migrations };
const onEachEngine = onEngines<Schema>(test, opened);

/**
 * What an order costs that comes, runs and is done with nothing else going on: statements, `begin` and `commit` included,
 * transactions, and those of them that wait for the disk. Whoever adds one has to raise these, and say why.
 */
const BUDGETS = {
  predict: { statements: 28, transactions: 7, syncs: 4 },
  learn: { statements: 28, transactions: 7, syncs: 4 },
  job: { statements: 28, transactions: 5, syncs: 4 },
} as const;

/** No round begins by itself while a test runs. */
const NEVER_MS = 2 ** 30;

onEachEngine('An order costs the database no more than its budget', async (t, engine) => {
  await using place = await engine.place();
  await using counted = await openCounted(place);
  await using other = engine.name === 'postgres' ? await place.open() : undefined;
  await using compute = await openTestCompute({ everyMs: NEVER_MS }, counted.database);
  const worker = await compute.worker({ learn: 1, predict: 1, job: 1 }, 0, 1, { runtime: 'docker' });
  const atRest = async () =>
    await eventually(t, async (t) => {
      const { read } = other ?? counted.database;
      t.deepEqual(await read.selectFrom('outbox').select('effect').execute(), []);
    });
  const run = async (kind: OrderKind) => await runOrder(kind, compute, worker, atRest);
  // What the parts do once when they are opened is over then.
  await run('predict');
  await eventually(t, (t) => t.is(counted.count().transactions, 0));
  for (const kind of ['predict', 'learn', 'job'] as const) {
    await run(kind);
    const { statements, ...counts } = counted.count();
    const cost = { ...counts, statements: statements.length };
    t.log(`${engine.name}, ${kind}: ${JSON.stringify(cost)}`);
    const budget = BUDGETS[kind];
    t.true(cost.transactions <= budget.transactions, statements.join('\n'));
    t.true(cost.statements <= budget.statements, statements.join('\n'));
    t.true(cost.syncs <= budget.syncs, statements.join('\n'));
  }
});

interface Counted extends AsyncDisposable {
  readonly database: Database<Schema>;
  readonly count: () => {
    readonly statements: readonly string[];
    readonly transactions: number;
    readonly syncs: number;
  };
}

/** Of an embedded engine, transactions alone are counted: statements are no way to anywhere, and commits may be one. */
async function openCounted(place: TestPlace<Schema>): Promise<Counted> {
  if (place.database.engine === 'postgres') {
    const wire = await countWire(place.database.address);
    const database = await openDatabase<Schema>({ ...place.database, address: wire.address }, opened);
    return {
      database,
      count: () => wire.count(([first = '']) => !/^(?:set|select 1$)/.test(first)),
      // Not those of connections themselves.
      [Symbol.asyncDispose]: async () => await wire[Symbol.asyncDispose](),
    };
  }
  const database = await place.open();
  let transactions = 0;
  return {
    database: watchedDatabase(database, async (_, work) => {
      transactions += 1;
      return await work();
    }),
    count() {
      const counts = { statements: [], transactions, syncs: 0 };
      transactions = 0;
      return counts;
    },
    [Symbol.asyncDispose]: async () => await database[Symbol.asyncDispose](),
  };
}

/** Posts an order and has it run, in a few steps of which the report tells. */
async function runOrder(
  kind: OrderKind,
  { unchecked: api, published }: TestCompute,
  worker: TestWorker,
  atRest: () => Promise<void>,
): Promise<void> {
  const before = published.length;
  if (kind === 'learn') await api.learn({ body: aLearnuplet() });
  else if (kind === 'predict') await api.pred({ body: aPreduplet() });
  else await api.postJob({ body: aJob() });
  while (published.length === before) await new Promise(setImmediate);
  const claim = await worker.mustClaim(0, [kind]);
  // That it was claimed has been told: what is behind that would be looked for once more.
  await atRest();
  await worker.report(claim, { outcome: 'done', result: resultOf(claim), events: eventsOf(claim) });
  await atRest();
}

function eventsOf({ spec }: Claim): AttemptEvent[] {
  const steps = ['inputs', spec.kind === 'learn' ? 'train' : spec.kind, 'results'] as const;
  return steps.flatMap((step, index): AttemptEvent[] => [
    { what: 'started', seq: 3 * index, step },
    { what: 'log', seq: 3 * index + 1, step, stream: 'platform', text: step },
    { what: 'ended', seq: 3 * index + 2, record: { step, seconds: 1 } },
  ]);
}
