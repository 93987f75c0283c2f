import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import type { ComputeDatabase } from '../db/database.ts';

/** How often the watched orders are looked at: another process may have written, and its notification been lost. */
const LOOK_EVERY_MS = 1000;
/** How many orders one query asks for. */
const AT_ONCE = 500;

interface Watched {
  watchers: number;
  /** What was seen last: it is another one when the history or the log has grown; undefined before the first look. */
  seen: string | undefined;
}

/**
 * The orders that somebody follows in this process. However many follow, one timer looks at all their orders together,
 * and only those that changed are told of: a stream of which nothing happens costs its part of one query a second.
 */
export class WatchedOrders {
  readonly #database: ComputeDatabase;
  readonly #changed: (order: string) => void;
  readonly #watched = new Map<string, Watched>();
  #looking: boolean = false;

  /** `changed` is told of each order that may have changed since it was last looked at. */
  constructor(database: ComputeDatabase, changed: (order: string) => void) {
    this.#database = database;
    this.#changed = changed;
  }

  /** Watches an order until the result is disposed. */
  watch(order: string): Disposable {
    const watched = this.#watched.get(order) ?? { watchers: 0, seen: undefined };
    watched.watchers++;
    this.#watched.set(order, watched);
    this.#lookSoon();
    return {
      [Symbol.dispose]: () => {
        watched.watchers--;
        if (watched.watchers === 0) this.#watched.delete(order);
      },
    };
  }

  #lookSoon(): void {
    if (this.#looking || this.#watched.size === 0) return;
    this.#looking = true;
    const timer = setTimeout(async () => {
      // A database that is away is asked again a second later, and whoever follows keeps what it has.
      await this.#look().catch(() => undefined);
      this.#looking = false;
      this.#lookSoon();
    }, LOOK_EVERY_MS);
    timer.unref();
  }

  async #look(): Promise<void> {
    const orders = [...this.#watched.keys()];
    for (let at = 0; at < orders.length; at += AT_ONCE) {
      for (const [order, now] of await this.#read(orders.slice(at, at + AT_ONCE))) {
        const watched = this.#watched.get(order);
        if (watched === undefined || watched.seen === now) continue;
        watched.seen = now;
        this.#changed(order);
      }
      // Calls that came meanwhile go first.
      await setImmediate();
    }
  }

  async #read(orders: readonly string[]): Promise<[string, string][]> {
    const rows = await this.#database.read
      .selectFrom('orders')
      .select((row) => [
        'id',
        'events',
        sql<number | string>`coalesce(${row
          .selectFrom('attempts')
          .select((attempt) => attempt.fn.sum<number>('log_bytes').as('bytes'))
          .whereRef('attempts.order_id', '=', 'orders.id')}, 0)`.as('log_bytes'),
      ])
      .where('id', 'in', orders)
      .execute();
    return rows.map(({ id, events, log_bytes }) => [id, `${events} ${log_bytes}`]);
  }
}
