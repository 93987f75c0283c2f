import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import { sql } from 'kysely';
import { ComputeDatabase } from '../db/database.ts';
import { Retention, type RetentionParts } from '../retention/retention.ts';
import { RETENTION_DEFAULTS, type RetentionSettings } from '../retention/settings.ts';
import type { TestCompute } from './open-test-compute.ts';
import { aLearnuplet, aPreduplet } from './orders.ts';
import { resultOf } from './test-worker.ts';

/** An hour, in milliseconds: in these tests older orders go. */
export const HOUR_MS = 3_600_000;

type Stored = Pick<TestCompute, 'database'>;

/** Removes what {@link age} has made old when it is called, on the database of a test; no best orders are kept. */
export function retentionOf(
  { database }: Stored,
  settings: Partial<RetentionSettings> = {},
  parts: Partial<RetentionParts> = {},
): Retention {
  return new Retention({
    database: new ComputeDatabase(database, []),
    storage: { removeResult: async () => undefined },
    settings: { ...RETENTION_DEFAULTS, ordersMs: HOUR_MS, best: 0, ...settings },
    removed: () => undefined,
    log: silentLog,
    ...parts,
  });
}

/** Places a training and has it end, with a score, or without one as failed; its attempt prints `a line`. */
export async function ended(
  t: ExecutionContext,
  compute: TestCompute,
  perf?: number,
  members: Parameters<typeof aLearnuplet>[0] = {},
): Promise<ReturnType<typeof aLearnuplet>> {
  const { api } = compute;
  const body = aLearnuplet(members);
  await api.learn({ body });
  const worker = await compute.worker();
  const claim = await worker.mustClaim();
  const params = { id: claim.order, attempt: claim.attempt };
  const chunk = { seq: 0, step: 'train' as const, stream: 'stdout' as const, text: 'a line' };
  await api.appendLog({ params, body: { chunks: [chunk] } });
  if (perf === undefined) await worker.fail(claim);
  else {
    const performance = { perf, train_perf: {}, test_perf: {} };
    await worker.report(claim, { outcome: 'done', result: { ...resultOf(claim), performance } });
  }
  await settled(t, compute, body.uuid);
  return body;
}

/** Places a prediction by a model and has it end well; returns its id. */
export async function predicted(t: ExecutionContext, compute: TestCompute, model: string): Promise<string> {
  const body = aPreduplet({ model });
  await compute.api.pred({ body });
  const worker = await compute.worker();
  await worker.finish(await worker.mustClaim());
  await settled(t, compute, body.uuid);
  return body.uuid;
}

/** Waits until an order has ended and all its effects have happened. */
export async function settled(t: ExecutionContext, { database }: Stored, id: string): Promise<void> {
  await eventually(t, async (t) => {
    const order = database.read.selectFrom('orders').select('ended_at').where('id', '=', id);
    t.truthy((await order.executeTakeFirst())?.ended_at);
    const effects = database.read.selectFrom('outbox').select('n').where('order_id', '=', id);
    t.deepEqual(await effects.execute(), []);
  });
}

/** Makes orders older, by so many hours. */
export async function age({ database }: Stored, hours: number, ...ids: readonly string[]): Promise<void> {
  const ms = sql.lit(hours * HOUR_MS);
  await database.write(async (tx) => {
    await tx
      .updateTable('orders')
      .set({
        created_at: sql<number>`created_at - ${ms}`,
        ended_at: sql<number>`ended_at - ${ms}`,
      })
      .where('id', 'in', ids)
      .execute();
  });
}

/** Of these orders those that are there, in their order. */
export async function remaining({ database }: Stored, ids: readonly string[]): Promise<string[]> {
  const rows = await database.read.selectFrom('orders').select('id').where('id', 'in', ids).execute();
  const there = new Set(rows.map(({ id }) => id));
  return ids.filter((id) => there.has(id));
}

const TABLES = ['orders', 'events', 'attempts', 'logs', 'outbox', 'removed_orders'] as const;

/** How many rows each table has that orders fill. */
export async function rowCounts({ database }: Stored): Promise<Record<(typeof TABLES)[number], number>> {
  const counts = { orders: 0, events: 0, attempts: 0, logs: 0, outbox: 0, removed_orders: 0 };
  for (const table of TABLES) {
    const { n } = await database.read
      .selectFrom(table)
      .select((row) => row.fn.countAll<number>().as('n'))
      .executeTakeFirstOrThrow();
    counts[table] = Number(n);
  }
  return counts;
}
