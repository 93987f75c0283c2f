import type { OrderKind, QueuePosition } from '@morpheo/common';
import { sql } from 'kysely';
import { type ComputeDatabase, timeOf } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { time } from '../orders/views.ts';
import { gpusFor, isAbleTo, lacksOf, slotsFor, type WorkerGpus } from '../workers/able.ts';
import { isPaused } from '../workers/store.ts';
import { offersAll, waitingNeeds } from './matching.ts';
import { CLAIM_COST, virtualTime } from './shares.ts';

/** So many of the latest orders of a kind tell how long one takes. */
const LATEST = 50;

/** Where a due order stands, as far as can be told now. */
export interface Standing {
  /** How many orders of its kind are claimed before it, by the present orders, weights and shares. */
  readonly before: number;
  /** In how many milliseconds it starts, if all goes on as it did; undefined where nothing tells. */
  readonly startsInMs: number | undefined;
  /** What `startsInMs` rests on, or why it is undefined, in one sentence. */
  readonly basis: string;
}

/** A due order's position in the queue as `/v1` shows it; undefined for an order that is not due. */
export async function positionOf(
  order: OrderRow,
  database: ComputeDatabase,
  leaseMs: number,
): Promise<QueuePosition | undefined> {
  if (order.status !== 'todo') return undefined;
  const now = await timeOf(database);
  if (order.due_at > now) return undefined;
  const { before, startsInMs, basis } = await standingOf(order, database, leaseMs);
  const expected = startsInMs === undefined ? {} : { expected_start: time(now + startsInMs) };
  return { place: before + 1, ...expected, basis };
}

/**
 * Reckons where a due order stands. Reads the due orders of its kind, from an index. `leaseMs`: a worker that was not
 * heard of for so long counts as gone.
 */
export async function standingOf(
  order: OrderRow,
  database: ComputeDatabase,
  leaseMs: number,
): Promise<Standing> {
  const most = mostGpus(await gpusFor(database, leaseMs, order));
  const before = await countBefore(order, database, { leaseMs, most });
  const unknown = (basis: string): Standing => ({ before, startsInMs: undefined, basis });
  if (await isPaused(database.read)) return unknown('No basis: the queue is paused.');
  const slots = await slotsFor(database, leaseMs, order);
  if (slots === 0) {
    const offering = order.needs === '' ? 'takes orders without needs' : 'offers what it needs';
    const isAny = (await lacksOf(database, leaseMs, order)).length > 0;
    const lacks = isAny || order.needs !== '' ? `that ${offering} is alive` : 'is alive';
    return unknown(`No basis: no worker for ${order.kind} orders ${lacks}.`);
  }
  if (order.gpus > most) return unknown('No basis: no living worker has as many GPUs as it asks for.');
  const took = await latestDurations(order.kind, database);
  if (took.length === 0) return unknown(`No basis: no ${order.kind} order has been done yet.`);
  const median = took[took.length >> 1] ?? 0;
  const free = Math.max(0, slots - (await running(order, database)));
  const startsInMs = before < free ? 0 : Math.ceil(((before - free + 1) * median) / slots);
  const others = before === 1 ? '1 order' : `${before} orders`;
  const last =
    took.length === 1 ? `the last ${order.kind} order` : `the last ${took.length} ${order.kind} orders`;
  const basis = `${others} before it, ${slots === 1 ? '1 slot' : `${slots} slots`} of living workers (${free} free), ${last} took ${duration(median)} in the middle.`;
  return { before, startsInMs, basis };
}

/** How many GPUs the worker with most has. */
export function mostGpus(workers: readonly WorkerGpus[]): number {
  return Math.max(0, ...workers.map(({ total }) => total));
}

/** A time span for people, in milliseconds: seconds, minutes, hours or days. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** An owner's due orders of a kind, and how its next claims are numbered. */
interface Backlog {
  readonly owner: string;
  readonly orders: number;
  /** Of those, how many come before the order by the turn of their owner. */
  readonly earlier: number;
  readonly firstTurn: number;
  /** The start tag of its next claim. */
  readonly tag: number;
  /** Between the start tags of two of its claims. */
  readonly cost: number;
}

/** Which workers an estimate is about: those heard of within `leaseMs`, whose most GPUs are `most`. */
interface Workers {
  readonly leaseMs: number;
  readonly most: number;
}

async function countBefore(order: OrderRow, database: ComputeDatabase, workers: Workers): Promise<number> {
  const backlogs = await backlogsOf(order, database, workers);
  const own = backlogs.find(({ owner }) => owner === order.owner);
  // It has just been claimed.
  if (own === undefined) return 0;
  const tag = own.tag + own.earlier * own.cost;
  const others = backlogs.filter((one) => one !== own).map((one) => claimsBefore(one, tag, order.turn_at));
  return others.reduce((sum, claims) => sum + claims, own.earlier);
}

/** How many claims of a backlog have a start tag before `tag`; at the same tag, the older order goes first. */
function claimsBefore({ orders, firstTurn, tag: first, cost }: Backlog, tag: number, turn: number): number {
  if (first > tag) return 0;
  const strictly = Math.ceil((tag - first) / cost);
  const ties = (tag - first) % cost === 0 && firstTurn < turn ? 1 : 0;
  return Math.min(orders, strictly + ties);
}

async function backlogsOf(
  order: OrderRow,
  database: ComputeDatabase,
  { leaseMs, most }: Workers,
): Promise<Backlog[]> {
  // What no worker that could run it has GPUs for, or offers what it needs, does not hold it up.
  const { rows } = await sql<Backlog>`
    with recursive present (tag) as (select ${virtualTime(order.kind)}),
    ${waitingNeeds([order.kind])}, rival (needs) as (
      select waiting.needs from waiting
      where waiting.needs = ${order.needs} or (waiting.needs is not null and exists (
        select 1 from workers
        where ${isAbleTo(database, leaseMs, order)} and ${offersAll(sql`workers.id`, sql`waiting.needs`)}))
    ),
    backlog (owner, orders, earlier, turn) as (
      select owner, count(*),
        sum(case when turn_at < ${order.turn_at} or (turn_at = ${order.turn_at} and id < ${order.id}) then 1 else 0 end),
        min(turn_at)
      from orders
      where status = 'todo' and kind = ${order.kind} and needs in (select needs from rival)
        and asks_gpus in (0, 1) and due_at <= ${database.now}
        and gpus <= ${Math.max(most, order.gpus)}
      group by owner)
    select backlog.owner, backlog.orders, backlog.earlier, backlog.turn as "firstTurn",
      case when shares.finish_tag > present.tag then shares.finish_tag else present.tag end as tag,
      ${sql.lit(CLAIM_COST)} / coalesce(owners.weight, 1) as cost
    from backlog cross join present
      left join shares on shares.kind = ${order.kind} and shares.owner = backlog.owner
      left join owners on owners.owner = backlog.owner`.execute(database.read);
  return rows.map(({ owner, orders, earlier, firstTurn, tag, cost }) => ({
    owner,
    orders: Number(orders),
    earlier: Number(earlier),
    firstTurn: Number(firstTurn),
    tag: Number(tag),
    cost: Number(cost),
  }));
}

/** How long the attempts took that ended the latest orders of a kind, in milliseconds, the shortest first. */
async function latestDurations(kind: OrderKind, database: ComputeDatabase): Promise<number[]> {
  const { rows } = await sql<{ took: number }>`
    select attempts.ended_at - attempts.started_at as took
    from (select id, attempt from orders where kind = ${kind} and status = 'done'
      order by ended_at desc limit ${sql.lit(LATEST)}) as latest
    inner join attempts on attempts.order_id = latest.id and attempts.attempt = latest.attempt
    where attempts.ended_at is not null`.execute(database.read);
  // The clock of the database may have been set back meanwhile.
  return rows.map(({ took }) => Math.max(0, Number(took))).sort((a, b) => a - b);
}

/** How many orders of the kind run on workers that offer what an order needs. */
async function running({ kind, needs }: OrderRow, { read }: ComputeDatabase): Promise<number> {
  const { count } = await read
    .selectFrom('orders')
    .select((row) => row.fn.countAll<number>().as('count'))
    .where('lease_until', '>', 0)
    .where('kind', '=', kind)
    .where(offersAll(sql`orders.worker`, sql`${needs}`))
    .executeTakeFirstOrThrow();
  return Number(count);
}
