import { EventEmitter, once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import {
  type GroupCounts,
  type GroupEvent,
  type GroupedOrder,
  isPlatformError,
  type ServerEvent,
} from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';
import { groupKeyText } from '../orders/changes.ts';
import { type GroupKey, groupRow } from './store.ts';
import { allEnded, countsIn } from './views.ts';

/** Between two looks at a group, in milliseconds: at least, when there is news, and at most, since news may be lost. */
const LOOK = { leastMs: 250, mostMs: 1000 } as const;
/** How many orders one event tells of. */
const MOST_TOLD = 500;

/** Somebody who watches: what they have not been told yet, the latest of each order. */
interface Watcher {
  readonly untold: Map<string, GroupedOrder>;
}

/** A group that somebody watches, as it was seen last. */
interface Watched {
  readonly key: GroupKey;
  readonly watchers: Set<Watcher>;
  orders: ReadonlyMap<string, GroupedOrder>;
  counts: GroupCounts;
  ended: boolean;
  /** How many looks have begun, and which of them it is that the rest is from. */
  begun: number;
  seen: number;
}

/**
 * The groups that somebody watches in this process. However many watch one, it is looked at for all of them together: one
 * query of an index, a few times a second while its orders change, and once a second else. A watcher who is slow is told
 * less often, and of each order its latest state alone: nothing piles up.
 */
export class GroupFollowers {
  readonly #database: ComputeDatabase;
  readonly #watched = new Map<string, Watched>();
  /** `looked KEY` when there was a look, `news KEY` when there may be reason for one. */
  readonly #events = new EventEmitter().setMaxListeners(0);

  constructor(database: ComputeDatabase) {
    this.#database = database;
  }

  /** There may be news of the group with this key. */
  announce(key: string): void {
    this.#events.emit(`news ${key}`);
  }

  /**
   * The states of all orders of a group as they are now, then each change, until all have ended and nothing that was asked
   * of the group is under way; the last event says so. All is in it that everybody may know of the orders, and nothing
   * more. `signal` ends it quietly.
   */
  async *events(key: GroupKey, signal: AbortSignal | undefined): AsyncGenerator<ServerEvent<GroupEvent>> {
    const watcher: Watcher = { untold: new Map() };
    const watched = this.#join(key, watcher);
    // What was seen before may be over: it is looked at for whoever comes.
    const { begun } = watched;
    try {
      while (signal?.aborted !== true && watched.seen <= begun) await this.#next(key, signal);
      watcher.untold.clear();
      for (const [id, order] of watched.orders) watcher.untold.set(id, order);
      for (let id = 1; signal?.aborted !== true; ) {
        const { counts, seen } = watched;
        const orders = [...watcher.untold.values()].slice(0, MOST_TOLD);
        for (const { order } of orders) watcher.untold.delete(order);
        const ended = watched.ended && watcher.untold.size === 0;
        if (orders.length > 0 || ended || id === 1) {
          yield { id: String(id), event: ended ? 'ended' : 'orders', data: { counts, orders, ended } };
          id += 1;
        }
        if (ended) return;
        // A look since then may have found something.
        if (watcher.untold.size === 0 && watched.seen === seen) await this.#next(key, signal);
      }
    } finally {
      watched.watchers.delete(watcher);
    }
  }

  /** Adds a watcher, and has the group looked at soon. */
  #join(key: GroupKey, watcher: Watcher): Watched {
    const text = groupKeyText(key);
    const there = this.#watched.get(text);
    if (there !== undefined) {
      there.watchers.add(watcher);
      this.announce(text);
      return there;
    }
    const state = { orders: new Map(), counts: countsIn([]), ended: false, begun: 0, seen: 0 };
    const watched: Watched = { key, watchers: new Set([watcher]), ...state };
    this.#watched.set(text, watched);
    // Not in this very turn: the watcher counts the looks from here on.
    void Promise.resolve().then(() => this.#keepLooking(text, watched));
    return watched;
  }

  async #next(key: GroupKey, signal: AbortSignal | undefined): Promise<void> {
    await once(this.#events, `looked ${groupKeyText(key)}`, signal === undefined ? {} : { signal }).catch(
      () => undefined,
    );
  }

  async #keepLooking(text: string, watched: Watched): Promise<void> {
    do {
      const over = new AbortController();
      const { signal } = over;
      // Listens before the look, so that what is announced during it is not missed.
      const news = once(this.#events, `news ${text}`, { signal }).catch(() => undefined);
      // A database that is away is asked again, and whoever watches keeps what it has.
      await this.#look(watched).catch(() => undefined);
      this.#events.emit(`looked ${text}`);
      await setTimeout(LOOK.leastMs, undefined, { ref: false });
      const rest = setTimeout(LOOK.mostMs - LOOK.leastMs, undefined, { ref: false, signal }).catch(
        () => undefined,
      );
      await Promise.race([news, rest]);
      over.abort();
    } while (watched.watchers.size > 0);
    this.#watched.delete(text);
  }

  async #look(watched: Watched): Promise<void> {
    const { key } = watched;
    const look = ++watched.begun;
    const group = await groupRow(this.#database, key).catch((error: unknown) => {
      // It is gone, as all its orders are.
      if (isPlatformError(error, 'not_found')) return { under_way: 0 };
      throw error;
    });
    const rows = await this.#database.read
      .selectFrom('orders')
      .select(['id', 'status', 'score', 'reason'])
      .where('owner', '=', key.owner)
      .where('group_name', '=', key.name)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    const orders = new Map<string, GroupedOrder>();
    for (const { id, status, score, reason } of rows) {
      const before = watched.orders.get(id);
      if (before?.status === status && (before.reason ?? null) === reason) {
        orders.set(id, before);
        continue;
      }
      const now: GroupedOrder = {
        ...{ order: id, status },
        ...(score === null ? {} : { score }),
        ...(reason === null ? {} : { reason }),
      };
      orders.set(id, now);
      for (const { untold } of watched.watchers) untold.set(id, now);
    }
    watched.seen = look;
    watched.orders = orders;
    watched.counts = countsIn(rows.map(({ status }) => ({ status, n: 1 })));
    watched.ended = allEnded(watched.counts) && group.under_way === 0;
  }
}
