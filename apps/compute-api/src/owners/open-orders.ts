import { PlatformError } from '@morpheo/common';
import { sql } from 'kysely';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import { shownOwner } from './owners.ts';

/** Room for one more open order, held until it is disposed; doing that twice is harmless. */
export interface Place extends Disposable {
  /** Why there is none (`rate_limited`, with `details.retry_after` in seconds); undefined where there is. */
  readonly refusal: PlatformError | undefined;
  /** The order is there: it counts from now on. */
  keep(): void;
}

/** What is known of an owner: the last count, and what has come through this process. */
interface Known {
  counted: number;
  /** How many have come, ever, and how many of them had come when the last count began. */
  added: number;
  addedBefore: number;
  /** Places that are held. */
  held: number;
  /** When the last count began, by the clock of {@link OpenOrders}. */
  countedAt: number;
  /** The first count, while it is under way. */
  first: Promise<void> | undefined;
}

/** What {@link OpenOrders} is made with. */
export interface OpenOrdersOptions {
  readonly database: Pick<ComputeDatabase, 'read'>;
  /** How many an owner may have; 0: any number. */
  readonly most: number;
  /** Milliseconds since any moment; the process's own clock where absent. */
  readonly clock?: () => number;
}

/** An owner's orders are counted so often at the most, in milliseconds. */
const RECOUNT_MS = 1000;
/**
 * More orders than all services on a database take in together in a millisecond: an owner whose room lasts longer than a
 * second even so is counted again when it may be used up.
 */
const INTAKE_PER_MS = 10;
/** Owners that are remembered; of more, those are forgotten that came first, and counted again when they order. */
const MOST_OWNERS = 10_000;
/** When a client is to try again: orders end when they do, and nobody knows when that is. In seconds. */
const RETRY_S = 10;

/**
 * Bounds the open orders (waiting, todo, pending) of each owner. They are counted now and then; what this process takes in
 * meanwhile is added. So the bound is kept exactly by one service, and several on one database may exceed it by what they
 * take in within a second. Owners are named as they are kept.
 */
export class OpenOrders {
  readonly #read: ComputeDatabase['read'];
  readonly #most: number;
  readonly #clock: () => number;
  readonly #owners = new Map<string, Known>();

  constructor({ database, most, clock = () => performance.now() }: OpenOrdersOptions) {
    this.#read = database.read;
    this.#most = most === 0 ? Number.POSITIVE_INFINITY : most;
    this.#clock = clock;
  }

  /** Holds a place for one more order of an owner. */
  async place(owner: string): Promise<Place> {
    const known = await this.#current(owner);
    if (this.#roomOf(known) < 1) {
      return { refusal: this.refusal(owner), keep: () => undefined, [Symbol.dispose]: () => undefined };
    }
    known.held += 1;
    let isHeld = true;
    let kept = false;
    return {
      refusal: undefined,
      keep: () => {
        kept = true;
      },
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        known.held -= 1;
        if (kept) known.added += 1;
      },
    };
  }

  /** How many more open orders an owner may have now. */
  async room(owner: string): Promise<number> {
    return this.#roomOf(await this.#current(owner));
  }

  /** As {@link room}, within a transaction. What it adds is told by {@link added}. */
  async roomIn({ db }: Tx, owner: string): Promise<number> {
    const known = this.#knownOf(owner);
    // Not by others' counts: they may wait for this transaction.
    if (this.#isBounded && (known.first !== undefined || this.#isOld(known))) {
      await this.#count(known, owner, db);
    }
    return this.#roomOf(known);
  }

  /** Open orders of an owner have come for which no place was held. Should they be undone, the next count finds it. */
  added(owner: string, orders: number): void {
    this.#knownOf(owner).added += orders;
  }

  /** What is told where an owner has no room for so many more orders. */
  refusal(owner: string, more = 1): PlatformError {
    const known = this.#knownOf(owner);
    const open = this.#most - this.#roomOf(known);
    const what = more === 1 ? 'one more' : `${more} more`;
    return new PlatformError(
      'rate_limited',
      `${shownOwner(owner)} has ${open} open orders, and may have ${this.#most} (--open-orders of compute-api): there is no room for ${what}. Wait until some have ended, or cancel some, and try again.`,
      { details: { retry_after: RETRY_S } },
    );
  }

  get #isBounded(): boolean {
    return this.#most !== Number.POSITIVE_INFINITY;
  }

  #roomOf({ counted, added, addedBefore, held }: Known): number {
    return Math.max(0, this.#most - counted - (added - addedBefore) - held);
  }

  #isOld(known: Known): boolean {
    const lasts = this.#roomOf(known) / INTAKE_PER_MS;
    return this.#clock() - known.countedAt >= RECOUNT_MS + lasts;
  }

  #knownOf(owner: string): Known {
    const known = this.#owners.get(owner);
    if (known !== undefined) return known;
    const [first] = this.#owners.keys();
    if (first !== undefined && this.#owners.size >= MOST_OWNERS) this.#owners.delete(first);
    const fresh: Known = {
      ...{ counted: 0, added: 0, addedBefore: 0, held: 0, first: undefined },
      countedAt: Number.NEGATIVE_INFINITY,
    };
    this.#owners.set(owner, fresh);
    return fresh;
  }

  /** What is known of an owner, counted again where that is due; others go by what was known meanwhile. */
  async #current(owner: string): Promise<Known> {
    const known = this.#knownOf(owner);
    if (!this.#isBounded) return known;
    if (known.countedAt === Number.NEGATIVE_INFINITY) {
      known.first = this.#count(known, owner, this.#read).finally(() => {
        known.first = undefined;
      });
    } else if (known.first === undefined && this.#isOld(known)) {
      await this.#count(known, owner, this.#read);
    }
    await known.first;
    return known;
  }

  async #count(known: Known, owner: string, db: ComputeDatabase['read']): Promise<void> {
    const { added, countedAt } = known;
    known.countedAt = this.#clock();
    try {
      // Written out, for the index of these alone.
      const { rows } = await sql<{ open: number | string }>`
        select count(*) as open from (
          select 1 from orders where owner = ${owner} and status in ('waiting', 'todo', 'pending')
          limit ${this.#most}) as its`.execute(db);
      known.counted = Number(rows[0]?.open);
      // What came while it counted is counted twice at the worst, and until the next time.
      known.addedBefore = added;
    } catch (error) {
      known.countedAt = countedAt;
      throw error;
    }
  }
}
