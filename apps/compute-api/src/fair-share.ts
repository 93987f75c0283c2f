import type { OrderKind } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { type RawBuilder, sql } from 'kysely';
import type { Solitude } from './quarantine.ts';
import type { OrderRow, Schema, Tx } from './schema.ts';

/**
 * Start-time fair queueing between owners, for each kind by itself, since each kind has slots of its own. Source:
 * P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996, with claims as packets of one length.
 */

/** What a claim of an owner of weight 1 costs, in the unit of the tags. */
export const CLAIM_COST = 1_000_000;

/** However many owners have due orders, this many are looked at for one that others are not just claiming. */
const MOST_OWNERS = 50;

/** An owner with a due order that fits, and its turn among owners. */
interface Candidate {
  readonly kind: OrderKind;
  readonly owner: string;
  readonly asks_gpus: number;
  /** The start tag that its next claim would have: the least goes first. */
  readonly tag: number;
  /** Of its first such order. */
  readonly turn_at: number;
}

/** An order to claim, and whether its owner is charged for it: not while that would change nobody's turn. */
export interface Next {
  readonly order: OrderRow;
  readonly charged: boolean;
}

/** What a worker has room for. */
export interface Room {
  readonly kinds: readonly OrderKind[];
  /** How many GPUs an order may ask for. */
  readonly gpus: number;
  /** The order for which GPUs are kept: none that is younger gets any. */
  readonly keptFor?: Pick<OrderRow, 'created_at' | 'id'> | undefined;
}

/** What decides which orders that are to be run alone a worker is given. */
interface Seclusion {
  readonly solitude: Solitude;
  /** A worker that was not heard of for so long keeps itself for no order any more, in milliseconds. */
  readonly leaseMs: number;
}

/**
 * The due order whose turn it is of those that fit, held for this transaction; undefined where there is none. One for
 * which this worker has kept itself, or GPUs, goes first. Orders that others hold are passed over; only where there is no other it
 * is waited for what becomes of those.
 */
export async function takeNext(
  tx: Tx,
  database: Database<Schema>,
  worker: string,
  room: Room & Seclusion,
): Promise<Next | undefined> {
  const alone = await takeWaitingAlone(tx, room);
  if (alone !== undefined) return { order: alone, charged: true };
  const kept = room.gpus === 0 ? undefined : await takeKept(tx, database, worker, room);
  if (kept !== undefined) return { order: kept, charged: true };
  const candidates: Candidate[] = [];
  const crowded = new Set<OrderKind>();
  for (const kind of room.kinds) {
    const line = await lineOf(tx, database, kind, room);
    if (line.some(({ owner }) => owner !== line[0]?.owner)) crowded.add(kind);
    candidates.push(...line);
  }
  const turns = inTurn(candidates);
  for (const skip of [true, false]) {
    for (const candidate of turns) {
      const query = firstOf(tx, database, candidate, room).where(mayBeRunBy(worker, database, room));
      const order = await (skip ? query.skipLocked() : query).executeTakeFirst();
      if (order === undefined) continue;
      return { order, charged: crowded.has(candidate.kind) || (await owesAnother(tx, candidate)) };
    }
  }
  return undefined;
}

/** Counts a claim for its owner: the more it weighs, the less it costs. An owner that was idle begins at the present. */
export async function charge(tx: Tx, { kind, owner }: Pick<OrderRow, 'kind' | 'owner'>): Promise<void> {
  const cost = sql`${sql.lit(CLAIM_COST)} / coalesce((select weight from owners where owner = ${owner}), 1)`;
  const start = sql`case when shares.finish_tag > excluded.start_tag then shares.finish_tag else excluded.start_tag end`;
  await sql`
    insert into shares (kind, owner, start_tag, finish_tag)
    values (${kind}, ${owner}, ${virtualTime(kind)}, ${virtualTime(kind)} + ${cost})
    on conflict (kind, owner) do update set
      start_tag = ${start},
      finish_tag = ${start} + excluded.finish_tag - excluded.start_tag`.execute(tx);
}

/** The virtual time of a kind: the start tag of the claim that was charged last. */
export function virtualTime(kind: OrderKind): RawBuilder<number> {
  return sql<number>`coalesce((select max(start_tag) from shares where kind = ${kind}), 0)`;
}

/** Whether an owner that has nothing due would come back behind the present: then time goes on for it to catch up. */
async function owesAnother(tx: Tx, { kind, owner }: Candidate): Promise<boolean> {
  const ahead = await tx
    .selectFrom('shares')
    .select('owner')
    .where('kind', '=', kind)
    .where('owner', '<>', owner)
    .where('finish_tag', '>', virtualTime(kind))
    .limit(1)
    .executeTakeFirst();
  return ahead !== undefined;
}

/** The owners with due orders of a kind that fit, in their turn. */
async function lineOf(tx: Tx, database: Database<Schema>, kind: OrderKind, room: Room): Promise<Candidate[]> {
  const line: Candidate[] = [];
  for (const asks of room.gpus === 0 ? [0] : [0, 1]) {
    const fits = asks === 0 ? sql`` : fitting(room);
    const inQueue = sql`status = 'todo' and kind = ${kind} and asks_gpus = ${sql.lit(asks)}`;
    // One look into the index for each owner, however many orders they have.
    const { rows } = await sql<{ owner: string; turn_at: number; tag: number }>`
      with recursive due (owner) as (
        select min(owner) from orders where ${inQueue}
        union all
        select (select min(owner) from orders where ${inQueue} and orders.owner > due.owner)
        from due where due.owner is not null
      ), first (owner, turn_at) as materialized (
        select due.owner, (
          select turn_at from orders
          where ${inQueue} and orders.owner = due.owner and due_at <= ${database.now} ${fits}
          order by turn_at, id limit 1)
        from due where due.owner is not null
      ), present (tag) as (select ${virtualTime(kind)})
      select first.owner, first.turn_at,
        case when shares.finish_tag > present.tag then shares.finish_tag else present.tag end as tag
      from first cross join present left join shares on shares.kind = ${kind} and shares.owner = first.owner
      where first.turn_at is not null
      order by 3, 2, 1 limit ${sql.lit(MOST_OWNERS)}`.execute(tx);
    for (const { owner, turn_at, tag } of rows) {
      line.push({ kind, owner, asks_gpus: asks, turn_at: Number(turn_at), tag: Number(tag) });
    }
  }
  return line.sort((a, b) => a.tag - b.tag || a.turn_at - b.turn_at);
}

function fitting({ gpus, keptFor }: Room): RawBuilder<unknown> {
  if (keptFor === undefined) return sql`and gpus <= ${gpus}`;
  return sql`and gpus <= ${gpus} and (created_at, id) < (${keptFor.created_at}, ${keptFor.id})`;
}

/** Merges the lines of the kinds: of the first of each, the one whose order stands longer goes before the other. */
function inTurn(candidates: readonly Candidate[]): Candidate[] {
  const lines = new Map<OrderKind, Candidate[]>();
  for (const one of candidates) lines.set(one.kind, [...(lines.get(one.kind) ?? []), one]);
  const merged: Candidate[] = [];
  for (;;) {
    const heads = [...lines.values()].filter((line) => line[0] !== undefined);
    const [first] = heads.sort((a, b) => (a[0]?.turn_at ?? 0) - (b[0]?.turn_at ?? 0));
    const next = first?.shift();
    if (next === undefined) return merged;
    merged.push(next);
  }
}

/** Leaves out what is to be run alone and is not for this worker: another keeps itself for it, or too many do. */
function mayBeRunBy(
  worker: string,
  { now }: Database<Schema>,
  { solitude, leaseMs }: Seclusion,
): RawBuilder<boolean> {
  if (!solitude.mayBeTaken) return sql<boolean>`alone = 0`;
  // Whoever runs nothing has room for it now; another that is kept for it is free again then.
  if (solitude.runs === 0) return sql<boolean>`true`;
  return sql<boolean>`(alone = 0 or alone_on is null or alone_on = ${worker} or not exists (
    select 1 from workers where workers.id = orders.alone_on and seen_at > ${now} - ${sql.lit(leaseMs)}))`;
}

/** The order for which this worker, which runs nothing, was kept, where it fits. */
async function takeWaitingAlone(
  tx: Tx,
  { kinds, gpus, solitude }: Room & Seclusion,
): Promise<OrderRow | undefined> {
  if (solitude.keptFor === undefined) return undefined;
  return await tx
    .selectFrom('orders')
    .selectAll()
    .where('id', '=', solitude.keptFor)
    .where('status', '=', 'todo')
    .where('kind', 'in', kinds)
    .where('gpus', '<=', gpus)
    .forNoKeyUpdate()
    .skipLocked()
    .executeTakeFirst();
}

/** The first due order of an owner that fits, to be held. */
function firstOf(tx: Tx, database: Database<Schema>, { kind, owner, asks_gpus }: Candidate, room: Room) {
  const query = tx
    .selectFrom('orders')
    .selectAll()
    .where('status', '=', 'todo')
    .where('kind', '=', kind)
    .where('asks_gpus', '=', asks_gpus)
    .where('owner', '=', owner)
    .where('due_at', '<=', database.now)
    .orderBy('turn_at')
    .orderBy('id')
    .limit(1)
    // Not `for update`: an order is not passed over because one is just being placed that waits for its model.
    .forNoKeyUpdate();
  return asks_gpus === 0 ? query : query.where(sql<boolean>`true ${fitting(room)}`);
}

/** The order for which this worker has kept GPUs, where they are enough now. */
async function takeKept(
  tx: Tx,
  database: Database<Schema>,
  worker: string,
  { kinds, gpus }: Room,
): Promise<OrderRow | undefined> {
  return await tx
    .selectFrom('orders')
    .selectAll()
    .where('gpus_kept_by', '=', worker)
    .where('status', '=', 'todo')
    .where('kind', 'in', kinds)
    .where('due_at', '<=', database.now)
    .where('gpus', '<=', gpus)
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .forNoKeyUpdate()
    .skipLocked()
    .executeTakeFirst();
}
