import { ORDER_KINDS, type OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { offersAll, waitingNeeds } from './matching.ts';

/**
 * Start-time fair queueing between owners. Source: P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM
 * 1996. Each kind has slots of its own, and so a clock of its own; by each, an owner is counted over all kinds: its packet
 * is a claim of the kind, and is twice as long where a claim of another kind was counted before the next.
 */

/** What a claim of an owner of weight 1 costs, in the unit of the tags. */
export const CLAIM_COST = 1_000_000;

/** However many owners have due orders, this many are looked at for one that others are not just claiming. */
const MOST_OWNERS = 50;

/** The due orders of an owner that are of one kind and need the same, and its turn among owners. */
interface Candidate {
  readonly kind: OrderKind;
  readonly owner: string;
  readonly needs: string;
  readonly asks_gpus: number;
  /** The start tag that its next claim would have: the least goes first. */
  readonly tag: number;
  /** Of its first such order. */
  readonly turn_at: number;
}

/** An order to claim, and whether other owners have due orders of its kind that fit. */
export interface Next {
  readonly order: OrderRow;
  readonly isCrowded: boolean;
}

/** Which due orders may be next. */
export interface Eligible {
  /** The id of the worker, which has to offer what they need. */
  readonly worker: string;
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
  const lines = await linesOf(tx, eligible);
  const turns = inTurn(lines);
  for (const skip of [true, false]) {
    for (const candidate of turns) {
      const query = firstOf(tx, candidate, eligible);
      const order = await (skip ? query.skipLocked() : query).executeTakeFirst();
      if (order === undefined) continue;
      const { kind, owner } = candidate;
      return { order, isCrowded: lines.some((other) => other.kind === kind && other.owner !== owner) };
    }
  }
  return undefined;
}

/**
 * Counts a claim for its owner: the more it weighs, the less it costs. An owner that was idle begins at the present.
 * By the clock of its kind it counts unless that would change nobody's turn: no other owner has due orders that fit
 * (`isCrowded`), and none that has nothing due would come back behind the present. By the clock of another kind it counts
 * where it counts by its own, or another owner has due orders of that kind: once until the owner's next claim of that
 * kind, or until the present has passed it.
 */
export async function chargeOwner(
  { db }: Tx,
  { kind, owner }: Pick<OrderRow, 'kind' | 'owner'>,
  isCrowded: boolean,
): Promise<void> {
  const isHere = isCrowded || owesAnother(kind, owner);
  // By one statement, whose rows are always in the same order: so claims of an owner do not lock one another out.
  const charges = ORDER_KINDS.map((clock) => {
    const elsewhere = clock === kind ? 0 : 1;
    const counts =
      clock !== kind ? countsElsewhere(clock, owner, isHere) : isHere === true ? sql`1 = 1` : isHere;
    return sql`select cast(${clock} as text), cast(${owner} as text), ${virtualTime(clock)}, ${virtualTime(clock)} + cost.of_claim, ${sql.lit(elsewhere)} from cost where ${counts}`;
  });
  const start = sql`case when shares.finish_tag > excluded.start_tag then shares.finish_tag else excluded.start_tag end`;
  await sql`
    with recursive cost (of_claim) as (
      select ${sql.lit(CLAIM_COST)} / coalesce((select weight from owners where owner = ${owner}), 1)
    ), ${waitingNeeds()}
    insert into shares (kind, owner, start_tag, finish_tag, elsewhere)
    ${sql.join(charges, sql` union all `)}
    on conflict (kind, owner) do update set
      start_tag = case when excluded.elsewhere = 1 then shares.start_tag else ${start} end,
      finish_tag = ${start} + excluded.finish_tag - excluded.start_tag,
      elsewhere = excluded.elsewhere`.execute(db);
}

/** The virtual time of a kind: the start tag of the claim of it that was charged last. */
export function virtualTime(kind: OrderKind): RawBuilder<number> {
  return sql<number>`coalesce((select max(start_tag) from shares where kind = ${sql.lit(kind)}), 0)`;
}

/** An owner that has nothing due may come back behind the present: then time goes on for it to catch up. */
function owesAnother(kind: OrderKind, owner: string): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select 1 from shares where kind = ${sql.lit(kind)} and owner <> ${owner} and finish_tag > ${virtualTime(kind)})`;
}

function countsElsewhere(
  clock: OrderKind,
  owner: string,
  isHere: true | RawBuilder<boolean>,
): RawBuilder<boolean> {
  const isCounted = sql`exists (
    select 1 from shares where kind = ${sql.lit(clock)} and owner = ${owner} and elsewhere = 1
      and finish_tag >= ${virtualTime(clock)})`;
  if (isHere === true) return sql<boolean>`not ${isCounted}`;
  // The first and the last of each line: whether any is another would be found by reading all.
  const isRivalled = sql`exists (
    select 1 from (
      select waiting.kind, waiting.needs, asks.n as asks_gpus
      from waiting cross join (select 0 as n union all select 1) as asks
      where waiting.kind = ${sql.lit(clock)} and waiting.needs is not null) as line
    where ${ownerIn('first')} < ${owner} or ${ownerIn('last')} > ${owner})`;
  return sql<boolean>`not ${isCounted} and (${isHere} or ${isRivalled})`;
}

/** The due orders that fit, by kind, owner and what they need: of each kind the owners in their turn. */
async function linesOf(tx: Tx, { worker, kinds, gpus, fitsGpus }: Eligible): Promise<Candidate[]> {
  const lines = (await fitNeeds(tx, worker, kinds)).flatMap(({ kind, needs }) =>
    (gpus === 0 ? [0] : [0, 1]).map((asks) => ({ kind, needs, asks })),
  );
  if (lines.length === 0) return [];
  const fit = lines.map(
    ({ kind, needs, asks }) => sql`(${sql.lit(kind)}, cast(${needs} as text), ${sql.lit(asks)})`,
  );
  const fits = gpus === 0 ? sql`` : sql`and (line.asks_gpus = 0 or (${fitsGpus}))`;
  const inTurn = kinds.map((kind) => {
    const tag = sql`case when shares.finish_tag > ${virtualTime(kind)} then shares.finish_tag else ${virtualTime(kind)} end`;
    // An owner has as many rows as there are lines at most.
    const most = MOST_OWNERS * lines.filter((line) => line.kind === kind).length;
    return sql`select * from (
      select first.kind, first.owner, first.needs, first.asks_gpus, first.turn_at, ${tag} as tag
      from first left join shares on shares.kind = first.kind and shares.owner = first.owner
      where first.kind = ${sql.lit(kind)} and first.turn_at is not null
      order by 6, 5, 2 limit ${sql.lit(most)}) as ${sql.ref(`of_${kind}`)}`;
  });
  // One look into the index for each line and owner, however many orders they have.
  const { rows } = await sql<Candidate>`
    with recursive fit (kind, needs, asks_gpus) as (values ${sql.join(fit)}),
    line (kind, needs, asks_gpus, owner) as (
      select kind, needs, asks_gpus, ${ownerIn('first')} from fit as line
      union all
      select kind, needs, asks_gpus, ${ownerIn('next')} from line where line.owner is not null
    ), first (kind, needs, asks_gpus, owner, turn_at) as materialized (
      select kind, needs, asks_gpus, owner, (
        select turn_at from orders
        where status = 'todo' and orders.kind = line.kind and orders.needs = line.needs
          and orders.asks_gpus = line.asks_gpus and orders.owner = line.owner and due_at <= ${tx.now} ${fits}
        order by turn_at, id limit 1)
      from line where line.owner is not null
    ) ${sql.join(inTurn, sql` union all `)}`.execute(tx.db);
  return rows
    .map(({ turn_at, tag, ...line }) => ({ ...line, turn_at: Number(turn_at), tag: Number(tag) }))
    .sort((a, b) => a.tag - b.tag || a.turn_at - b.turn_at);
}

/** Of the needs that due orders of these kinds have, those that a worker offers. Apart, so that few lines are planned for. */
async function fitNeeds(
  { db }: Tx,
  worker: string,
  kinds: readonly OrderKind[],
): Promise<Pick<Candidate, 'kind' | 'needs'>[]> {
  const { rows } = await sql<Pick<Candidate, 'kind' | 'needs'>>`
    with recursive ${waitingNeeds(kinds)}
    select kind, needs from waiting
    where needs is not null and (needs = '' or ${offersAll(sql`${worker}`, sql`waiting.needs`)})`.execute(db);
  return rows;
}

const LINE = sql`orders.needs, orders.asks_gpus, orders.owner`;
const PLACES = {
  first: { beyond: sql`(${LINE}) >= (line.needs, line.asks_gpus, '')`, way: sql`asc` },
  // Beyond the last turn that there could be: SQLite would begin at the first of the owner, and pass over each.
  next: {
    beyond: sql`(${LINE}, orders.turn_at) > (line.needs, line.asks_gpus, line.owner, 9223372036854775807)`,
    way: sql`asc`,
  },
  last: { beyond: sql`(${LINE}) < (line.needs, line.asks_gpus + 1, '')`, way: sql`desc` },
};

/**
 * Of the owners with due orders in a row of a table `line`, by name, the first, the last, or the next after its `owner`;
 * null where there is none. It is one look into the index, which alone has this order: an engine that could have it from
 * an index of owners might read all orders there.
 */
function ownerIn(place: keyof typeof PLACES): RawBuilder<string | null> {
  const { beyond, way } = PLACES[place];
  return sql`(
    select case when orders.needs = line.needs and orders.asks_gpus = line.asks_gpus then orders.owner end
    from orders where status = 'todo' and orders.kind = line.kind and ${beyond}
    order by orders.needs ${way}, orders.asks_gpus ${way}, orders.owner ${way} limit 1)`;
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
function firstOf(
  { db, now }: Tx,
  { kind, owner, needs, asks_gpus }: Candidate,
  { fitsGpus, mayRun }: Eligible,
) {
  const query = db
    .selectFrom('orders')
    .selectAll()
    .where('status', '=', 'todo')
    .where('kind', '=', kind)
    .where('needs', '=', needs)
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
