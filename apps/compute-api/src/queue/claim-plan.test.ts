import { withParts } from '@morpheo/real-parts';
import { type Database, openDatabase } from '@morpheo/service/database';
import { sharedPostgres } from '@morpheo/service/database/testing';
import test from 'ava';
import { sql } from 'kysely';
import { COMPUTE_DEFAULTS } from '../config.ts';
import { ComputeDatabase } from '../db/database.ts';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import { openTestCompute } from '../testing/open-test-compute.ts';
import { seedQueue } from '../testing/orders.ts';
import { watchedDatabase } from '../testing/watched-database.ts';
import { gatherClaims } from './claim.ts';
import { overviewQuery } from './round.ts';

const server = sharedPostgres(test);

/** How the rows of `orders` were found. */
interface Looks {
  /** Readings of the whole table. */
  readonly scans: number;
  /** Rows that were found by an index. */
  readonly rows: number;
}

/** The same database; `looks` gets how each transaction has read orders. */
function watched(database: Database<Schema>, looks: Looks[]): Database<Schema> {
  return watchedDatabase(database, async (tx, work) => {
    // What earlier transactions of the connection have read may be in it.
    const figures = async () => {
      const { rows } = await sql<{ scans: string; rows: string }>`
        select seq_scan as scans, idx_tup_fetch as rows from pg_stat_xact_user_tables where relname = 'orders'
      `.execute(tx);
      return { scans: Number(rows[0]?.scans), rows: Number(rows[0]?.rows) };
    };
    const before = await figures();
    const result = await work();
    const after = await figures();
    looks.push({ scans: after.scans - before.scans, rows: after.rows - before.rows });
    return result;
  });
}

withParts(test, 'postgres')('A claim finds its order among 50,000 by indexes alone', async (t) => {
  t.timeout(300_000);
  const address = await (await server()).createDatabase();
  const database = await openDatabase<Schema>(
    { engine: 'postgres', address, poolSize: 4 },
    { owner: 'compute_api', migrations },
  );
  await using compute = await openTestCompute({}, database);
  // Half of them no worker can run.
  const needs = { arch: 'riscv64' };
  for (const nobodys of [{ needs }, {}]) {
    for (let owner = 0; owner < 10; owner++) await seedQueue(compute, `owner-${owner}`, 2500, nobodys);
  }
  await sql`analyze orders`.execute(database.read);
  const { id, boot } = await compute.worker({ learn: 10, predict: 10 });
  const plan = await new ComputeDatabase(database, []).write(
    async (tx) => await sql`explain ${overviewQuery(tx, [id])}`.execute(tx.db),
  );
  t.notRegex(JSON.stringify(plan.rows), /JIT:/, 'it would be compiled for each claim');
  const looks: Looks[] = [];
  const claims = new ComputeDatabase(watched(database, looks), []);
  const claim = gatherClaims(claims, COMPUTE_DEFAULTS);
  for (let n = 0; n < 3; n++) {
    const process = { id, boot, caller: null };
    const { orders } = await claim({ process, room: { learn: 1, predict: 1 }, most: 1, gpus: 1 });
    t.deepEqual(
      orders.map(({ owner }) => owner),
      [`owner-${n}`],
    );
  }
  t.deepEqual(
    looks.map(({ scans }) => scans),
    [0, 0, 0],
  );
  t.true(
    looks.every(({ rows }) => rows < 200),
    JSON.stringify(looks),
  );
});
