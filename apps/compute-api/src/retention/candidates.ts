import { hasEnded, ORDER_STATUSES } from '@morpheo/common';
import { sql } from 'kysely';
import type { ComputeDatabase } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import type { RetentionSettings } from './settings.ts';

/** A place among the orders that have ended, by the time of their end in milliseconds since 1970. */
export interface Position {
  readonly at: number;
  readonly id: string;
}

/** Before all orders. */
export const BEGINNING: Position = { at: 0, id: '' };

/** How many orders one look, and one transaction, has. */
export const PAGE_ORDERS = 50;

/** An order that has ended, and whether it may be removed. */
export interface Candidate
  extends Pick<OrderRow, 'id' | 'kind' | 'status' | 'attempt' | 'workflow' | 'result' | 'score'> {
  readonly ended_at: number;
  /** Whether all its effects have happened. */
  readonly isSettled: boolean;
  readonly goes: boolean;
}

/** What a page is read with. */
interface PageRequest {
  readonly after: Position;
  /** Orders that ended before it. */
  readonly before: Position;
  readonly best: BestOrders;
}

/** Whether effects of an order have still to happen, such as the call that tells the orchestrator of its end. */
const HAS_EFFECTS = sql<boolean>`exists (select 1 from outbox where outbox.order_id = old.id)`;

/** The ends of an order. */
const ENDED = ORDER_STATUSES.filter(hasEnded);

/**
 * Whether another order needs one which has ended: it waits for it, was placed because of it, or names the model or output
 * that it made. Of orders that have ended those count that ended later, so that no circle of orders keeps itself for ever.
 */
const IS_NEEDED = sql<boolean>`(
  exists (select 1 from orders as other where other.waits_for = old.id)
  or exists (select 1 from orders as other where other.sample_of = old.id)
  or exists (select 1 from orders as other where other.model_start = old.model_end and ${uses()})
  or exists (select 1 from orders as other where other.model = old.model_end and ${uses()})
  or exists (select 1 from order_inputs join orders as other on other.id = order_inputs.order_id
    where order_inputs.output = old.model_end and ${uses()})
)`;

function uses() {
  return sql`other.id <> old.id and (other.ended_at is null
    or ((old.status = 'done' or old.result is not null) and (other.ended_at, other.id) > (old.ended_at, old.id)))`;
}

/** The next page of orders that have ended, the oldest end first. */
export async function candidatesAfter(
  read: ComputeDatabase['read'],
  { after, before, best }: PageRequest,
): Promise<Candidate[]> {
  const rows = await read
    // Materialized, so that an engine which thinks of all that is old does not read whole tables for what refers to it.
    .with(
      (table) => table('page').materialized(),
      (db) =>
        db
          .selectFrom('orders')
          .select(['id', 'kind', 'status', 'attempt', 'workflow', 'result', 'score', 'model_end', 'ended_at'])
          .where('ended_at', 'is not', null)
          .where((row) => row(row.refTuple('ended_at', 'id'), '>', row.tuple(after.at, after.id)))
          .where((row) => row(row.refTuple('ended_at', 'id'), '<', row.tuple(before.at, before.id)))
          .orderBy('ended_at')
          .orderBy('id')
          .limit(PAGE_ORDERS),
    )
    .selectFrom('page as old')
    .selectAll()
    .select(sql<number>`case when ${IS_NEEDED} then 1 else 0 end`.as('is_needed'))
    .select(sql<number>`case when ${HAS_EFFECTS} then 1 else 0 end`.as('has_effects'))
    .orderBy('ended_at')
    .orderBy('id')
    .execute();
  const kept = new Set<string>();
  for (const workflow of new Set(rows.flatMap((row) => (row.score === null ? [] : row.workflow))))
    for (const id of await best.of(workflow)) kept.add(id);
  return rows.map(({ is_needed, has_effects, ...row }) => ({
    ...row,
    ended_at: Number(row.ended_at),
    isSettled: has_effects === 0,
    goes: has_effects === 0 && is_needed === 0 && !kept.has(row.id) && hasEnded(row.status),
  }));
}

/** Of these orders, those that may be removed as the transaction sees them, locked; what others hold is left out. */
export async function takeRemovable(db: ComputeDatabase['read'], ids: readonly string[]): Promise<string[]> {
  return await takeEnded(db, ids, sql<boolean>`not ${HAS_EFFECTS} and not ${IS_NEEDED}`);
}

/** Of these orders, those that have ended and no effect is due of, locked; what others hold is left out. */
export async function takeSettled(db: ComputeDatabase['read'], ids: readonly string[]): Promise<string[]> {
  return await takeEnded(db, ids, sql<boolean>`not ${HAS_EFFECTS}`);
}

async function takeEnded(
  db: ComputeDatabase['read'],
  ids: readonly string[],
  condition: ReturnType<typeof sql<boolean>>,
): Promise<string[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom('orders as old')
    .select('old.id')
    .where('old.id', 'in', ids)
    .where('old.status', 'in', ENDED)
    .where('old.ended_at', 'is not', null)
    .where(condition)
    .forUpdate()
    .skipLocked()
    .execute();
  return rows.map(({ id }) => id);
}

/** The best orders of workflows, of equal scores those that came first; each is looked for once. */
export class BestOrders {
  readonly #read: ComputeDatabase['read'];
  readonly #most: number;
  readonly #known = new Map<string, readonly string[]>();

  constructor(read: ComputeDatabase['read'], most: number) {
    this.#read = read;
    this.#most = most;
  }

  /** Their ids. */
  async of(workflow: string): Promise<readonly string[]> {
    const known = this.#known.get(workflow) ?? (await this.#find(workflow));
    this.#known.set(workflow, known);
    return known;
  }

  async #find(workflow: string): Promise<readonly string[]> {
    if (this.#most === 0) return [];
    const rows = await this.#read
      .selectFrom('orders')
      .select('id')
      .where('workflow', '=', workflow)
      .where('score', 'is not', null)
      // Scores on a public sample are none on the problem.
      .where('sample_of', 'is', null)
      .orderBy('score', 'desc')
      .orderBy('created_at')
      .orderBy('id')
      .limit(this.#most)
      .execute();
    return rows.map(({ id }) => id);
  }
}

/** How many orders one look passes over. */
const STEP = 10_000;

/**
 * Orders that ended before this place are too old, or too many; undefined where all are kept. One look passes over `step`
 * orders at most.
 */
export async function endOfKept(
  read: ComputeDatabase['read'],
  { ordersMs, mostOrders }: Pick<RetentionSettings, 'ordersMs' | 'mostOrders'>,
  now: number,
  step = STEP,
): Promise<Position | undefined> {
  const byAge = ordersMs === null ? undefined : { at: now - ordersMs, id: '' };
  const byCount = mostOrders === null ? undefined : await newest(read, mostOrders, step);
  if (byAge === undefined || byCount === undefined) return byAge ?? byCount;
  return byCount.at > byAge.at ? byCount : byAge;
}

/** The place of the last of so many newest orders; undefined where there are fewer. */
async function newest(
  read: ComputeDatabase['read'],
  most: number,
  step: number,
): Promise<Position | undefined> {
  let place: Position | undefined;
  for (let left = most; left > 0; left -= step) {
    const before: Position | undefined = place;
    const row = await read
      .selectFrom('orders')
      .select(['ended_at', 'id'])
      .where('ended_at', 'is not', null)
      .where((row) =>
        before === undefined
          ? row.lit(true)
          : row(row.refTuple('ended_at', 'id'), '<', row.tuple(before.at, before.id)),
      )
      .orderBy('ended_at', 'desc')
      .orderBy('id', 'desc')
      .offset(Math.min(left, step) - 1)
      .limit(1)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    place = { at: Number(row.ended_at), id: row.id };
  }
  return place;
}
