import type { OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import { type Columns, rowsOf } from '../db/rows.ts';
import type { OrderRow } from '../db/schema.ts';
import { furthestTag, type Shares, virtualTime } from './shares.ts';

/**
 * Whose turn it is: lines of due orders, by what they need and by owner, are read once for all claims that are decided
 * together, and so are the first orders of those whose turn comes next. What is handed out is taken from them here.
 */

/** However many owners have due orders, this many are looked at for one that others are not just claiming. */
const MOST_OWNERS = 50;

/** Orders that are of one kind and need the same. */
export interface Demand {
  readonly kind: OrderKind;
  readonly needs: string;
  readonly asks_gpus: 0 | 1;
}

/** The due orders of an owner that need the same. */
interface Line extends Demand {
  readonly owner: string;
  /** The finish tag that its owner had by the clock of the kind. */
  readonly finish: number;
  /** Of the first order that is still in it; undefined where it is not known whether there is one. */
  turn: number | undefined;
  /** Its first orders, locked, as far as they were read. */
  readonly orders: OrderRow[];
  /** `all`: no other order than those that were read is in it, as far as others have not locked them. */
  read: 'nothing' | 'some' | 'all';
}

/** A line at which a reading of lines has stopped: what comes behind is not known. */
interface Boundary {
  readonly tag: number;
  readonly turn: number;
}

/** Which orders of some lines may be handed out; absent: all. */
export interface Conditions {
  /** Of the orders that ask for GPUs, those that fit. */
  readonly fitsGpus: RawBuilder<boolean>;
  /** Those that may run on the worker, whatever they ask for. */
  readonly mayRun: RawBuilder<boolean>;
}

/** An order to hand out, and whether other owners have due orders of its kind that fit. */
export interface Next {
  readonly order: OrderRow;
  readonly isCrowded: boolean;
}

/** What {@link Lines.next} answers where it cannot tell: what was handed out has to be written, and lines read again. */
export const READ_AGAIN = 'read again';

/** Lines of due orders, as far as they were read and are still there. */
export class Lines {
  readonly #tx: Tx;
  readonly #shares: Shares;
  readonly #conditions: Conditions | undefined;
  readonly #boundaries: ReadonlyMap<string, Boundary>;
  #lines: Line[];

  private constructor(
    tx: Tx,
    shares: Shares,
    conditions: Conditions | undefined,
    lines: Line[],
    boundaries: ReadonlyMap<string, Boundary>,
  ) {
    this.#tx = tx;
    this.#shares = shares;
    this.#conditions = conditions;
    this.#lines = lines;
    this.#boundaries = boundaries;
  }

  /** Reads the lines of these demands, of each at least so many as `wanted` orders may be taken from. */
  static async read(
    tx: Tx,
    shares: Shares,
    demands: readonly Demand[],
    wanted: number,
    conditions?: Conditions,
  ): Promise<Lines> {
    const most = MOST_OWNERS + wanted;
    const rows = demands.length === 0 ? [] : await readLines(tx, demands, most, conditions);
    const lines: Line[] = [];
    const read = new Map<string, Line[]>();
    for (const { present, furthest, turn_at, finish, ...row } of rows) {
      shares.note(row.kind, Number(present), Number(furthest));
      const line: Line = {
        ...{ ...row, finish: Number(finish ?? 0), turn: Number(turn_at) },
        ...{ orders: [], read: 'nothing' },
      };
      lines.push(line);
      const key = keyOf(line);
      const same = read.get(key);
      if (same === undefined) read.set(key, [line]);
      else same.push(line);
    }
    const boundaries = new Map<string, Boundary>();
    for (const [key, same] of read) {
      const last = same.toSorted((a, b) => before(shares.tagOf(a), a, shares.tagOf(b), b)).at(-1);
      if (same.length >= most && last?.turn !== undefined)
        boundaries.set(key, { tag: shares.tagOf(last), turn: last.turn });
    }
    return new Lines(tx, shares, conditions, lines, boundaries);
  }

  /**
   * The due order whose turn it is of those of some demands, locked for this transaction; undefined where there is none.
   * Orders that others have locked are passed over; `wait`: where there is no other, it is waited for what becomes of
   * those. `wanted`: so many may be asked for in all.
   */
  async next(
    isFit: (demand: Demand) => boolean,
    wanted: number,
    wait: () => boolean,
  ): Promise<Next | typeof READ_AGAIN | undefined> {
    const passedOver: Line[] = [];
    const fit = this.#lines.filter(isFit);
    let left = fit;
    for (;;) {
      const line = this.#first(left);
      if (line === undefined) break;
      if (line.turn === undefined || this.#isBeyond(line)) return READ_AGAIN;
      const others = fit.filter(({ kind, owner }) => kind === line.kind && owner !== line.owner);
      const isCrowded = others.some(({ turn }) => turn !== undefined);
      if (!isCrowded && others.length > 0) return READ_AGAIN;
      if (line.orders.length === 0) await this.#readFirst(line, left, wanted);
      const order = this.#take(line);
      if (order !== undefined) return { order, isCrowded };
      left = left.filter((other) => other !== line);
      passedOver.push(line);
    }
    for (const line of passedOver) {
      if (!wait()) break;
      const [order] = await this.#firstOf(line, 1, 'wait');
      if (order === undefined) continue;
      const isCrowded = fit.some(({ kind, owner }) => kind === line.kind && owner !== line.owner);
      return { order, isCrowded };
    }
    return undefined;
  }

  /** Whether an order of this kind and owner is known to be left. */
  hasMore(kind: OrderKind, owner: string): boolean {
    return this.#lines.some((line) => line.kind === kind && line.owner === owner && line.orders.length > 0);
  }

  /** The owners whose turn comes next. */
  owners(most: number): string[] {
    return this.#inTurn(this.#lines, most).map(({ owner }) => owner);
  }

  /** Of the first line of each kind, the one whose order stands longer goes before the other. */
  #first(lines: readonly Line[]): Line | undefined {
    const firsts = new Map<OrderKind, { line: Line; tag: number }>();
    for (const line of lines) {
      const tag = this.#shares.tagOf(line);
      const first = firsts.get(line.kind);
      if (first === undefined || before(tag, line, first.tag, first.line) < 0)
        firsts.set(line.kind, { line, tag });
    }
    let oldest: Line | undefined;
    for (const { line } of firsts.values()) {
      // Nobody knows whether it would go first.
      if (line.turn === undefined) return line;
      if (oldest?.turn === undefined || line.turn < oldest.turn) oldest = line;
    }
    return oldest;
  }

  /** Whether lines that were not read might go before it. */
  #isBeyond(line: Line): boolean {
    const boundary = this.#boundaries.get(keyOf(line));
    if (boundary === undefined) return false;
    const tag = this.#shares.tagOf(line);
    return tag > boundary.tag || (tag === boundary.tag && (line.turn ?? 0) > boundary.turn);
  }

  #take(line: Line): OrderRow | undefined {
    const order = line.orders.shift();
    const [next] = line.orders;
    if (next !== undefined) line.turn = Number(next.turn_at);
    else if (order === undefined || line.read === 'all')
      this.#lines = this.#lines.filter((one) => one !== line);
    else line.turn = undefined;
    return order;
  }

  #inTurn(lines: readonly Line[], most: number): Line[] {
    const tagged = lines.map((line) => ({ line, tag: this.#shares.tagOf(line) }));
    tagged.sort((a, b) => before(a.tag, a.line, b.tag, b.line));
    return tagged.slice(0, most).map(({ line }) => line);
  }

  /** Reads the first orders of a line, and of others whose turn comes next: as many as are likely to be asked for. */
  async #readFirst(line: Line, lines: readonly Line[], wanted: number): Promise<void> {
    const unread = lines.filter(
      (other) => other !== line && other.read === 'nothing' && other.orders.length === 0,
    );
    const next = [line, ...this.#inTurn(unread, wanted - 1)];
    // Where there are fewer lines than orders are wanted, one more tells whether a line has come to its end.
    const each = next.length < wanted ? Math.ceil(wanted / next.length) + 1 : 1;
    const found = await readFirst(this.#tx, next, each, this.#conditions);
    for (const [n, one] of next.entries()) {
      const orders = found.get(n) ?? [];
      one.orders.push(...orders);
      one.read = orders.length < each ? 'all' : 'some';
    }
    // Others have locked those that stand first, or may not be handed out here.
    if (line.orders.length === 0) line.orders.push(...(await this.#firstOf(line, each, 'pass over')));
  }

  async #firstOf(line: Line, most: number, locked: 'wait' | 'pass over'): Promise<OrderRow[]> {
    const { kind, owner, needs, asks_gpus } = line;
    const { db, now } = this.#tx;
    let query = db
      .selectFrom('orders')
      .selectAll()
      .where('status', '=', sql.lit('todo'))
      .where('kind', '=', kind)
      .where('needs', '=', needs)
      .where('asks_gpus', '=', asks_gpus)
      .where('owner', '=', owner)
      .where('due_at', '<=', now)
      .orderBy('turn_at')
      .orderBy('id')
      .limit(most)
      // Not `for update`: an order is not passed over because one is just being submitted that waits for its model.
      .forNoKeyUpdate();
    if (this.#conditions !== undefined) {
      query = query.where(this.#conditions.mayRun);
      if (asks_gpus === 1) query = query.where(this.#conditions.fitsGpus);
    }
    return await (locked === 'wait' ? query : query.skipLocked()).execute();
  }
}

function before(tag: number, line: Line, otherTag: number, other: Line): number {
  const turn = (line.turn ?? 0) - (other.turn ?? 0);
  return tag - otherTag || turn || (line.owner < other.owner ? -1 : 1);
}

function keyOf({ kind, needs, asks_gpus }: Demand): string {
  return `${kind} ${asks_gpus} ${needs}`;
}

interface LineRead extends Demand {
  readonly owner: string;
  readonly turn_at: number;
  readonly finish: number | null;
  readonly present: number;
  readonly furthest: number;
}

/** Of each demand the owners of its due orders in their turn, `most` at the most. */
async function readLines(
  { db, now }: Tx,
  demands: readonly Demand[],
  most: number,
  conditions: Conditions | undefined,
): Promise<LineRead[]> {
  const fit = demands.map(
    ({ kind, needs, asks_gpus }) => sql`(${sql.lit(kind)}, cast(${needs} as text), ${sql.lit(asks_gpus)})`,
  );
  const fits = conditions === undefined ? sql`` : sql`and (line.asks_gpus = 0 or (${conditions.fitsGpus}))`;
  const kinds = [...new Set(demands.map(({ kind }) => kind))];
  const ofKind = kinds.map((kind) => {
    const tag = sql`case when shares.finish_tag > ${virtualTime(kind)} then shares.finish_tag else ${virtualTime(kind)} end`;
    return sql`
      select first.kind, first.owner, first.needs, first.asks_gpus, first.turn_at, shares.finish_tag as finish,
        ${virtualTime(kind)} as present, ${furthestTag(kind)} as furthest,
        row_number() over (partition by first.needs, first.asks_gpus order by ${tag}, first.turn_at, first.owner) as place
      from first left join shares on shares.kind = first.kind and shares.owner = first.owner
      where first.kind = ${sql.lit(kind)} and first.turn_at is not null`;
  });
  // One look into the index for each line and owner, however many orders they have.
  const { rows } = await sql<LineRead>`
    with recursive fit (kind, needs, asks_gpus) as (values ${sql.join(fit)}),
    line (kind, needs, asks_gpus, owner) as (
      select kind, needs, asks_gpus, ${ownerIn('first')} from fit as line
      union all
      select kind, needs, asks_gpus, ${ownerIn('next')} from line where line.owner is not null
    ), first (kind, needs, asks_gpus, owner, turn_at) as materialized (
      select kind, needs, asks_gpus, owner, (
        select turn_at from orders
        where status = 'todo' and orders.kind = line.kind and orders.needs = line.needs
          and orders.asks_gpus = line.asks_gpus and orders.owner = line.owner and due_at <= ${now} ${fits}
        order by turn_at, id limit 1)
      from line where line.owner is not null
    )
    select kind, owner, needs, asks_gpus, turn_at, finish, present, furthest
    from (${sql.join(ofKind, sql` union all `)}) as turns where place <= ${sql.lit(most)}`.execute(db);
  return rows;
}

/** The first orders of lines, `each` at the most, locked, by the number of the line; those that others have locked are left out. */
async function readFirst(
  tx: Tx,
  lines: readonly Line[],
  each: number,
  conditions: Conditions | undefined,
): Promise<ReadonlyMap<number, OrderRow[]>> {
  const { db, now } = tx;
  const wanted = lines.map(({ kind, needs, asks_gpus, owner }, n) => ({ n, kind, needs, asks_gpus, owner }));
  const fits =
    conditions === undefined
      ? sql``
      : sql`and ${conditions.mayRun} and (line.asks_gpus = 0 or (${conditions.fitsGpus}))`;
  const next = (beyond: RawBuilder<unknown>) => sql`(
    select id from orders
    where status = 'todo' and orders.kind = line.kind and orders.needs = line.needs
      and orders.asks_gpus = line.asks_gpus and orders.owner = line.owner and due_at <= ${now} ${beyond} ${fits}
    order by turn_at, id limit 1)`;
  const beyond = sql`and (turn_at, id) > ((select turn_at from orders as before where before.id = line.order_id), line.order_id)`;
  // One look into the index for each order.
  const first = sql<{ n: number; place: number; order_id: string | null }>`(
    with recursive line (n, place, kind, needs, asks_gpus, owner, order_id) as (
      select n, 1, kind, needs, asks_gpus, owner, ${next(sql``)} from (select * from ${rowsOf(tx, WANTED, wanted)}) as line
      union all
      select n, place + 1, kind, needs, asks_gpus, owner, ${next(beyond)} from line
      where line.order_id is not null and place < ${sql.lit(each)}
    ) select n, place, order_id from line)`.as('first');
  const rows = await db
    .selectFrom(first)
    // Crossed, so that SQLite begins with the ids, and does not look through all that are due.
    .crossJoin('orders')
    .whereRef('orders.id', '=', 'first.order_id')
    // Again, as of now: who had it locked may have changed it.
    .where('orders.status', '=', sql.lit('todo'))
    .where('orders.due_at', '<=', now)
    .selectAll('orders')
    .select(['first.n', 'first.place'])
    .forNoKeyUpdate('orders')
    .skipLocked()
    .execute();
  const found = new Map<number, OrderRow[]>();
  for (const { n, place: _, ...order } of rows.toSorted((a, b) => a.n - b.n || a.place - b.place)) {
    const same = found.get(n);
    if (same === undefined) found.set(n, [order]);
    else same.push(order);
  }
  return found;
}

const WANTED: Columns<Demand & { n: number; owner: string }> = {
  ...{ n: 'integer', kind: 'text', needs: 'text', asks_gpus: 'integer', owner: 'text' },
};

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
export function ownerIn(place: keyof typeof PLACES): RawBuilder<string | null> {
  const { beyond, way } = PLACES[place];
  return sql`(
    select case when orders.needs = line.needs and orders.asks_gpus = line.asks_gpus then orders.owner end
    from orders where status = 'todo' and orders.kind = line.kind and ${beyond}
    order by orders.needs ${way}, orders.asks_gpus ${way}, orders.owner ${way} limit 1)`;
}
