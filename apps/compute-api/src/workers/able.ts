import type { OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { ComputeDatabase } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { offersAll } from '../queue/matching.ts';

/**
 * Of a row of workers: whether it lives, takes a kind and is for orders of some needs. `leaseMs`: one that was not heard of
 * for so long counts as gone.
 */
export function isAbleTo(
  database: Pick<ComputeDatabase, 'now'>,
  leaseMs: number,
  { kind, needs }: Demand,
): RawBuilder<boolean> {
  return sql<boolean>`${takesKind(database, leaseMs, kind)} and ${offersAll(sql`workers.id`, sql`${needs}`)}`;
}

function takesKind(
  { now }: Pick<ComputeDatabase, 'now'>,
  leaseMs: number,
  kind: OrderKind,
): RawBuilder<boolean> {
  return sql<boolean>`workers.seen_at > ${now} - ${sql.lit(leaseMs)} and ${sql.ref(`workers.${kind}_slots`)} > 0`;
}

/** What an order asks of its worker, GPUs apart: its kind, and the id of what it needs, empty where that is nothing. */
export type Demand = Pick<OrderRow, 'kind' | 'needs'>;

/** How many orders of a kind the living workers that offer what is needed run at once. */
export async function slotsFor(database: ComputeDatabase, leaseMs: number, demand: Demand): Promise<number> {
  const { slots } = await database.read
    .selectFrom('workers')
    .where(isAbleTo(database, leaseMs, demand))
    .select((row) => row.fn.sum<number | null>(`${demand.kind}_slots`).as('slots'))
    .executeTakeFirstOrThrow();
  return Number(slots ?? 0);
}

/** A living worker that takes a kind, and what it does not offer of what is needed. */
export interface Lack {
  readonly worker: string;
  readonly terms: readonly string[];
  /** What it is dedicated to, and is not needed. */
  readonly demands: readonly string[];
}

/** What each living worker that takes a kind lacks of what is needed; a worker that lacks nothing stands there too. */
export async function lacksOf(
  database: ComputeDatabase,
  leaseMs: number,
  { kind, needs }: Demand,
): Promise<Lack[]> {
  const { rows } = await sql<{ worker: string; term: string | null; demanded: number }>`
    with living (id) as (select workers.id from workers where ${takesKind(database, leaseMs, kind)})
    select living.id as worker, need_terms.term as term, 0 as demanded
    from living left join need_terms on need_terms.id = ${needs} and not exists (
      select 1 from offers where offers.worker = living.id and offers.term = need_terms.term)
    union all
    select living.id, offers.term, 1
    from living inner join offers on offers.worker = living.id and offers.demanded = 1 and not exists (
      select 1 from need_terms where need_terms.id = ${needs} and need_terms.term = offers.term)
    order by 1, 2`.execute(database.read);
  const lacks = new Map<string, { terms: string[]; demands: string[] }>();
  for (const { worker, term, demanded } of rows) {
    const lack = lacks.get(worker) ?? { terms: [], demands: [] };
    if (term !== null) lack[Number(demanded) === 1 ? 'demands' : 'terms'].push(term);
    lacks.set(worker, lack);
  }
  return [...lacks].map(([worker, lack]) => ({ worker, ...lack }));
}

/** The GPUs of a worker. */
export interface WorkerGpus {
  readonly worker: string;
  readonly total: number;
  /** How many have room for one more order. */
  readonly free: number;
}

/**
 * The GPUs of the living workers that take a kind and offer what is needed: how many each has, and how many it could
 * lease now.
 */
export async function gpusFor(
  database: ComputeDatabase,
  leaseMs: number,
  demand: Demand,
): Promise<WorkerGpus[]> {
  const workers = await database.read
    .selectFrom('workers')
    .where(isAbleTo(database, leaseMs, demand))
    .select(['id', 'gpu_total', 'gpu_slots'])
    .select((row) =>
      row
        .selectFrom('orders')
        .select((order) => order.fn.sum<number | null>('orders.gpus').as('leased'))
        .whereRef('orders.worker', '=', 'workers.id')
        .where('orders.status', '=', 'pending')
        .where('orders.lease_until', '>', 0)
        .as('leased'),
    )
    .execute();
  return workers.map(({ id, gpu_total: total, gpu_slots, leased }) => ({
    worker: id,
    total,
    free: Math.max(0, Math.min(total, total * gpu_slots - Number(leased ?? 0))),
  }));
}
