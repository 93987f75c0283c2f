import { ORDER_KINDS, type OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import { type Columns, rowsOf } from '../db/rows.ts';
import type { OrderRow } from '../db/schema.ts';

/**
 * Start-time fair queueing between owners. Source: P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM
 * 1996. Each kind has slots of its own, and so a clock of its own; by each, an owner is counted over all kinds: its packet
 * is a claim of the kind, and is twice as long where a claim of another kind was counted before the next.
 */

/** What a claim of an owner of weight 1 costs, in the unit of the tags. */
export const CLAIM_COST = 1_000_000;

/** The virtual time of a kind: the start tag of the claim of it that was charged last. */
export function virtualTime(kind: OrderKind): RawBuilder<number> {
  return sql<number>`coalesce((select max(start_tag) from shares where kind = ${sql.lit(kind)}), 0)`;
}

/** The greatest finish tag of a kind: where it is not after the virtual time, no owner is ahead of it. */
export function furthestTag(kind: OrderKind): RawBuilder<number> {
  return sql<number>`coalesce((select max(finish_tag) from shares where kind = ${sql.lit(kind)}), 0)`;
}

/** How an owner stands by the clock of a kind, as a row of `shares` says it. */
interface Share {
  readonly kind: OrderKind;
  readonly owner: string;
  readonly start: number;
  readonly finish: number;
  readonly elsewhere: 0 | 1;
}

/** A share that was charged: `from` is its finish tag as it was counted from. */
interface Charged extends Share {
  readonly from: number;
}

/** The clocks and the shares of owners as a transaction counts them: read where they are needed, written at its end. */
export class Shares {
  readonly #tx: Tx;
  readonly #present = new Map<OrderKind, number>();
  readonly #furthest = new Map<OrderKind, number>();
  /** Of owners whose shares were read; and of each kind the two that are the furthest ahead. */
  readonly #shares = new Map<string, Share>();
  readonly #weights = new Map<string, number>();
  readonly #charged = new Map<string, Charged>();
  #state: 'unread' | 'read' = 'unread';

  constructor(tx: Tx) {
    this.#tx = tx;
  }

  /** Notes what another query has read: {@link virtualTime} and {@link furthestTag} of a kind. */
  note(kind: OrderKind, present: number, furthest: number): void {
    if (this.#state === 'read') return;
    this.#present.set(kind, present);
    this.#furthest.set(kind, furthest);
  }

  /** The start tag of the next claim of an owner whose finish tag was read as `finish`; the least goes first. */
  tagOf({ kind, owner, finish }: Pick<Share, 'kind' | 'owner' | 'finish'>): number {
    const known = this.#charged.get(keyOf(kind, owner))?.finish ?? finish;
    return Math.max(known, this.#presentOf(kind));
  }

  /**
   * Counts a claim for its owner: the more it weighs, the less it costs. An owner that was idle begins at the present.
   * By the clock of its kind it counts unless that would change nobody's turn: no other owner has due orders that fit
   * (`isCrowded`), and none that has nothing due would come back behind the present. By the clock of another kind it
   * counts where it counts by its own, or another owner has due orders of that kind (`isRivalled`): once until the owner's
   * next claim of that kind, or until the present has passed it. `others`: owners that may be charged soon.
   */
  async charge(
    { kind, owner }: Pick<OrderRow, 'kind' | 'owner'>,
    isCrowded: boolean,
    isRivalled: (clock: OrderKind) => Promise<boolean>,
    others: () => readonly string[],
  ): Promise<void> {
    const rivalled = new Set<OrderKind>();
    let isHere = isCrowded;
    if (!isHere && (this.#state === 'read' || !this.#isSettled(kind))) {
      await this.#know(owner, others);
      isHere = this.#owesAnother(kind, owner);
    }
    for (const clock of ORDER_KINDS) {
      if (clock !== kind && !isHere && (await isRivalled(clock))) rivalled.add(clock);
    }
    if (!isHere && rivalled.size === 0) return;
    await this.#know(owner, others);
    // Each is judged before any is counted.
    const clocks = ORDER_KINDS.filter((clock) =>
      clock === kind ? isHere : (isHere || rivalled.has(clock)) && !this.#isCounted(clock, owner),
    );
    for (const clock of clocks) this.#count(clock, owner, clock === kind ? 0 : 1);
  }

  /**
   * Writes what was charged. Other claims may have been charged meanwhile, on the same shares: then these come on top. The
   * shares are locked in one order, so that claims of the same owners do not lock one another out.
   */
  async write(): Promise<void> {
    if (this.#charged.size === 0) return;
    const { db } = this.#tx;
    const charged = [...this.#charged.values()].sort((a, b) => (keyOfShare(a) < keyOfShare(b) ? -1 : 1));
    this.#charged.clear();
    const { rows } = await sql<{ kind: OrderKind; owner: string; finish_tag: number }>`
      select shares.kind, shares.owner, shares.finish_tag
      from ${rowsOf(this.#tx, SHARE_KEY, charged)} join shares on shares.kind = posted.kind and shares.owner = posted.owner
      order by shares.kind, shares.owner ${this.#tx.engine === 'postgres' ? sql`for update of shares` : sql``}`.execute(
      db,
    );
    const stored = new Map(rows.map((row) => [keyOf(row.kind, row.owner), Number(row.finish_tag)]));
    const values = charged.map(({ from, ...share }) => {
      const later = Math.max(0, (stored.get(keyOfShare(share)) ?? from) - from);
      // That of an earlier claim stays where only claims of other kinds were counted.
      const start = share.start >= from ? share.start + later : share.start;
      return { ...share, start, finish: share.finish + later };
    });
    await sql`
      insert into shares (kind, owner, start_tag, finish_tag, elsewhere)
      select kind, owner, start, finish, elsewhere from ${rowsOf(this.#tx, SHARE, values)} where true
      on conflict (kind, owner) do update set
        start_tag = excluded.start_tag, finish_tag = excluded.finish_tag, elsewhere = excluded.elsewhere`.execute(
      db,
    );
  }

  #presentOf(kind: OrderKind): number {
    return this.#present.get(kind) ?? 0;
  }

  /** Whether no owner is ahead of the present of a kind, as far as that is known. */
  #isSettled(kind: OrderKind): boolean {
    const furthest = this.#furthest.get(kind);
    return furthest !== undefined && furthest <= this.#presentOf(kind);
  }

  /** An owner that has nothing due may come back behind the present: then time goes on for it to catch up. */
  #owesAnother(kind: OrderKind, owner: string): boolean {
    for (const share of this.#shares.values()) {
      if (share.kind === kind && share.owner !== owner && share.finish > this.#presentOf(kind)) return true;
    }
    return false;
  }

  #isCounted(clock: OrderKind, owner: string): boolean {
    const share = this.#shares.get(keyOf(clock, owner));
    return share !== undefined && share.elsewhere === 1 && share.finish >= this.#presentOf(clock);
  }

  #count(kind: OrderKind, owner: string, elsewhere: 0 | 1): void {
    const key = keyOf(kind, owner);
    const known = this.#shares.get(key);
    const present = this.#presentOf(kind);
    const from = Math.max(known?.finish ?? present, present);
    const finish = from + Math.floor(CLAIM_COST / (this.#weights.get(owner) ?? 1));
    const start = elsewhere === 1 ? (known?.start ?? present) : from;
    const share = { kind, owner, start, finish, elsewhere };
    this.#shares.set(key, share);
    this.#charged.set(key, { ...share, from: this.#charged.get(key)?.from ?? from });
    if (elsewhere === 0) this.#present.set(kind, Math.max(present, start));
  }

  /** By a cross join SQLite begins with those that are asked for, however many there are in all. */
  async #know(owner: string, others: () => readonly string[]): Promise<void> {
    if (this.#weights.has(owner)) return;
    const owners = [...new Set([owner, ...others()])].filter((one) => !this.#weights.has(one));
    const { rows } = await sql<Read>`
      ${sql.join(ORDER_KINDS.map(readOfKind), sql` union all `)} union all
      select shares.kind, shares.owner, start_tag, finish_tag, elsewhere from ${rowsOf(
        this.#tx,
        OWNER,
        owners.map((one) => ({ owner: one })),
      )}
      cross join shares
      where shares.owner = posted.owner and shares.kind in (${sql.join(ORDER_KINDS.map((kind) => sql.lit(kind)))}) union all
      select 'weight', owners.owner, weight, 0, 0 from ${rowsOf(
        this.#tx,
        OWNER,
        owners.map((one) => ({ owner: one })),
      )} join owners on owners.owner = posted.owner`.execute(this.#tx.db);
    for (const one of owners) this.#weights.set(one, 1);
    for (const row of rows) this.#note(row);
    this.#state = 'read';
  }

  #note({ kind, owner, start_tag, finish_tag, elsewhere }: Read): void {
    const [start, finish] = [Number(start_tag), Number(finish_tag)];
    if (kind === 'weight') this.#weights.set(owner, start);
    else if (elsewhere === PRESENT) this.#present.set(kind, Math.max(start, this.#presentOf(kind)));
    else if (!this.#charged.has(keyOf(kind, owner)))
      this.#shares.set(keyOf(kind, owner), {
        kind,
        owner,
        start,
        finish,
        elsewhere: elsewhere === 1 ? 1 : 0,
      });
  }
}

/** A row of what is read together: a share, the present of a kind, or the weight of an owner. */
interface Read {
  readonly kind: OrderKind | 'weight';
  readonly owner: string;
  readonly start_tag: number;
  readonly finish_tag: number;
  readonly elsewhere: number;
}

const PRESENT = 2;

/** The present of a kind, and the two owners that are the furthest ahead of it: whoever asks is one of them at most. */
function readOfKind(kind: OrderKind): RawBuilder<unknown> {
  return sql`
    select ${sql.lit(kind)} as kind, '' as owner, ${virtualTime(kind)} as start_tag, 0 as finish_tag, ${sql.lit(PRESENT)} as elsewhere
    union all select * from (
      select kind, owner, start_tag, finish_tag, elsewhere from shares
      where kind = ${sql.lit(kind)} order by finish_tag desc limit 2) as ${sql.ref(`of_${kind}`)}`;
}

function keyOf(kind: OrderKind, owner: string): string {
  return `${kind} ${owner}`;
}

function keyOfShare({ kind, owner }: Pick<Share, 'kind' | 'owner'>): string {
  return keyOf(kind, owner);
}

const OWNER: Columns<{ owner: string }> = { owner: 'text' };
const SHARE_KEY: Columns<Pick<Share, 'kind' | 'owner'>> = { kind: 'text', owner: 'text' };
const SHARE: Columns<Share> = {
  ...SHARE_KEY,
  ...{ start: 'bigint', finish: 'bigint', elsewhere: 'integer' },
};
