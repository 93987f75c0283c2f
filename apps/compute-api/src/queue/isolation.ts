import { type RawBuilder, sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import type { Offer } from './gpu-reservation.ts';
import { offersToOrder } from './matching.ts';

/**
 * An order may kill the worker that runs it, and with it what runs beside it. Which one did it is not known; so one
 * that was lost beside others a few times is isolated: it is run alone, where it harms nobody and whatever happens is
 * its own doing. The columns `alone` and `alone_on` say so, and are named in this file only.
 */

/** So often an order may be lost beside others before it is isolated. */
const LOSSES_BESIDE_OTHERS = 2;

/** What the end of an order, whatever it is, sets. */
export const NOT_ISOLATED = { alone: 0, alone_on: null } as const;
/** What a claim sets: the worker is not reserved for the order any more, since it runs it. */
export const NOT_WAITED_FOR = { alone_on: null } as const;

/** Whether an order has to be run alone. */
export function isIsolated(order: Pick<OrderRow, 'alone'>): boolean {
  return order.alone === 1;
}

/** The worker that takes nothing else until it can run this order alone; null where there is none. */
export function isolatedOn(order: Pick<OrderRow, 'alone_on'>): string | null {
  return order.alone_on;
}

/** What another loss of an order beside others sets. */
export function lossesBesideOthers(order: OrderRow): Pick<OrderRow, 'lost_beside' | 'alone'> {
  const lost_beside = order.lost_beside + 1;
  return { lost_beside, alone: lost_beside >= LOSSES_BESIDE_OTHERS ? 1 : 0 };
}

/** Whether other orders were lost, or are about to be, with the worker of an attempt that was lost. */
export async function wasBesideOthers({ db }: Tx, { id, attempt, worker }: OrderRow): Promise<boolean> {
  const { rows } = await sql`
    select 1 from orders where worker = ${worker} and status = 'pending' and lease_until is not null and id <> ${id}
    union all
    select 1 from attempts other where other.worker = ${worker} and other.outcome = 'lost' and other.order_id <> ${id}
      and other.ended_at >= (select started_at from attempts where order_id = ${id} and attempt = ${attempt})
    limit 1`.execute(db);
  return rows.length > 0;
}

/** What decides whether a worker is given anything, and which isolated orders it may be given. */
export interface WorkerLoad {
  readonly worker: string;
  /** How many orders it runs. */
  readonly runs: number;
  /** It runs an isolated order: it is given nothing else. */
  readonly runsIsolated: boolean;
  /** The due isolated order that it is reserved for: it is given nothing until it runs nothing, and then that order. */
  readonly reservedFor: string | undefined;
  /** Whether it may run isolated orders: more than half of the living workers never do, unless it is the only one. */
  readonly mayIsolate: boolean;
}

/**
 * Greater than 0 where any order has to be run alone; an expression. Where it is 0, no worker is held back: {@link UNHELD}.
 * In two halves, so that each looks up one place of the index of these orders.
 */
export const ISOLATED: RawBuilder<number> = sql<number>`(
  (select count(*) from (select 1 from orders where alone = 1 and alone_on is null limit 1) as free)
  + (select count(*) from (select 1 from orders where alone = 1 and alone_on > '' limit 1) as waited_for))`;

/** What of the {@link WorkerLoad} matters of any worker while no order has to be run alone. */
export const UNHELD = { runs: 0, runsIsolated: false, reservedFor: undefined, mayIsolate: true } as const;

/** Reads the {@link WorkerLoad} of a worker; `leaseMs`: how long one that was not heard of counts as living. */
export async function loadOf({ db, now }: Tx, worker: string, leaseMs: number): Promise<WorkerLoad> {
  const its = sql`worker = ${worker} and status = 'pending' and lease_until is not null`;
  const living = sql`select id from workers where seen_at > ${now} - ${sql.lit(leaseMs)}`;
  const { rows } = await sql<Counts & { reserved_for: string | null }>`
    select
      (select count(*) from orders where ${its}) as runs,
      (select coalesce(max(alone), 0) from orders where ${its}) as isolated,
      (select min(id) from orders where alone_on = ${worker} and alone = 1 and status = 'todo' and due_at <= ${now}
        and ${offersToOrder(worker)})
        as reserved_for,
      (select count(*) from (${living}) as living) as living,
      (select count(*) from orders where alone = 1 and lease_until is not null and worker <> ${worker}) as isolating,
      (select count(*) from orders where alone = 1 and alone_on <> ${worker} and alone_on in (${living})) as reserved
    `.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('a select without a from has one row');
  const runs = Number(row.runs);
  const others = Number(row.isolating) + (runs === 0 ? 0 : Number(row.reserved));
  return {
    worker,
    runs,
    runsIsolated: Number(row.isolated) === 1,
    reservedFor: row.reserved_for ?? undefined,
    mayIsolate: others < Math.max(1, Math.floor(Number(row.living) / 2)),
  };
}

type Counts = Readonly<Record<'runs' | 'isolated' | 'living' | 'isolating' | 'reserved', number>>;

/** Reserves a worker for an isolated order that this transaction has locked: it gets nothing else until it has run it. */
export async function reserveWorker({ db }: Tx, order: OrderRow, worker: string): Promise<void> {
  if (order.alone_on === worker) return;
  await db.updateTable('orders').set({ alone_on: worker }).where('id', '=', order.id).execute();
}

/** The isolated order that a worker, which runs nothing, is reserved for, where it fits; locked. */
export async function takeIsolated(
  { db }: Tx,
  load: WorkerLoad,
  offer: Offer,
): Promise<OrderRow | undefined> {
  if (load.reservedFor === undefined) return undefined;
  return await db
    .selectFrom('orders')
    .selectAll()
    .where('id', '=', load.reservedFor)
    .where('status', '=', 'todo')
    .where('kind', 'in', offer.kinds)
    .where('gpus', '<=', offer.gpus)
    .forNoKeyUpdate()
    .skipLocked()
    .executeTakeFirst();
}

/** Leaves out isolated orders that are not for this worker: another is reserved for it, or too many workers are. */
export function mayRunHere({ now }: Tx, load: WorkerLoad, leaseMs: number): RawBuilder<boolean> {
  if (!load.mayIsolate) return sql<boolean>`alone = 0`;
  // Whoever runs nothing has room for it now; another that is reserved for it is free again then.
  if (load.runs === 0) return sql<boolean>`true`;
  return sql<boolean>`(alone = 0 or alone_on is null or alone_on = ${load.worker} or not exists (
    select 1 from workers where workers.id = orders.alone_on and seen_at > ${now} - ${sql.lit(leaseMs)}))`;
}
