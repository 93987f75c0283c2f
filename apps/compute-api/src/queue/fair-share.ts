import type { OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';

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
  readonly isCharged: boolean;
}

/** Which due orders may be next. */
export interface Eligible {
  readonly kinds: readonly OrderKind[];
  /** How many GPUs an order may ask for. */
  readonly gpus: number;
  /** Of the orders that ask for GPUs, those that fit. */
  readonly fitsGpus: RawBuilder<boolean>;
  /** Those that may run on the worker, whatever they ask for. */
  readonly mayRun: RawBuilder<boolean>;
}

/**
 * The due order whose turn it is of those that are eligible, locked for this transaction; undefined where there is
 * none. Orders that others have locked are passed over; only where there is no other it is waited for what becomes of
 * those.
 */
export async function takeNextShare(tx: Tx, eligible: Eligible): Promise<Next | undefined> {
  const candidates: Candidate[] = [];
  const crowded = new Set<OrderKind>();
  for (const kind of eligible.kinds) {
    const line = await lineOf(tx, kind, eligible);
    if (line.some(({ owner }) => owner !== line[0]?.owner)) crowded.add(kind);
    candidates.push(...line);
  }
  const turns = inTurn(candidates);
  for (const skip of [true, false]) {
    for (const candidate of turns) {
      const query = firstOf(tx, candidate, eligible);
      const order = await (skip ? query.skipLocked() : query).executeTakeFirst();
      if (order === undefined) continue;
      return { order, isCharged: crowded.has(candidate.kind) || (await owesAnother(tx, candidate)) };
    }
  }
  return undefined;
}

/** Counts a claim for its owner: the more it weighs, the less it costs. An owner that was idle begins at the present. */
export async function chargeOwner(
  { db }: Tx,
  { kind, owner }: Pick<OrderRow, 'kind' | 'owner'>,
): Promise<void> {
  const cost = sql`${sql.lit(CLAIM_COST)} / coalesce((select weight from owners where owner = ${owner}), 1)`;
  const start = sql`case when shares.finish_tag > excluded.start_tag then shares.finish_tag else excluded.start_tag end`;
  await sql`
    insert into shares (kind, owner, start_tag, finish_tag)
    values (${kind}, ${owner}, ${virtualTime(kind)}, ${virtualTime(kind)} + ${cost})
    on conflict (kind, owner) do update set
      start_tag = ${start},
      finish_tag = ${start} + excluded.finish_tag - excluded.start_tag`.execute(db);
}

/** The virtual time of a kind: the start tag of the claim that was charged last. */
export function virtualTime(kind: OrderKind): RawBuilder<number> {
  return sql<number>`coalesce((select max(start_tag) from shares where kind = ${kind}), 0)`;
}

/** Whether an owner that has nothing due would come back behind the present: then time goes on for it to catch up. */
async function owesAnother({ db }: Tx, { kind, owner }: Candidate): Promise<boolean> {
  const ahead = await db
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
async function lineOf(tx: Tx, kind: OrderKind, { gpus, fitsGpus }: Eligible): Promise<Candidate[]> {
  const line: Candidate[] = [];
  for (const asks of gpus === 0 ? [0] : [0, 1]) {
    const fits = asks === 0 ? sql`` : sql`and ${fitsGpus}`;
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
          where ${inQueue} and orders.owner = due.owner and due_at <= ${tx.now} ${fits}
          order by turn_at, id limit 1)
        from due where due.owner is not null
      ), present (tag) as (select ${virtualTime(kind)})
      select first.owner, first.turn_at,
        case when shares.finish_tag > present.tag then shares.finish_tag else present.tag end as tag
      from first cross join present left join shares on shares.kind = ${kind} and shares.owner = first.owner
      where first.turn_at is not null
      order by 3, 2, 1 limit ${sql.lit(MOST_OWNERS)}`.execute(tx.db);
    for (const { owner, turn_at, tag } of rows) {
      line.push({ kind, owner, asks_gpus: asks, turn_at: Number(turn_at), tag: Number(tag) });
    }
  }
  return line.sort((a, b) => a.tag - b.tag || a.turn_at - b.turn_at);
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

/** The first eligible due order of an owner, to be locked. */
function firstOf({ db, now }: Tx, { kind, owner, asks_gpus }: Candidate, { fitsGpus, mayRun }: Eligible) {
  const query = db
    .selectFrom('orders')
    .selectAll()
    .where('status', '=', 'todo')
    .where('kind', '=', kind)
    .where('asks_gpus', '=', asks_gpus)
    .where('owner', '=', owner)
    .where('due_at', '<=', now)
    .where(mayRun)
    .orderBy('turn_at')
    .orderBy('id')
    .limit(1)
    // Not `for update`: an order is not passed over because one is just being submitted that waits for its model.
    .forNoKeyUpdate();
  return asks_gpus === 0 ? query : query.where(fitsGpus);
}
