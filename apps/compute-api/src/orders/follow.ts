import { EventEmitter } from 'node:events';
import { hasEnded, type LogChunk, type OrderEvent, type ServerEvent } from '@morpheo/common';
import { type LogEntry, logAfter, wholeLog } from '../attempts/log-store.ts';
import type { ComputeDatabase } from '../db/database.ts';
import type { EventRow, OrderRow } from '../db/schema.ts';
import { SearchedLogs } from '../disclosure/canaries.ts';
import { withHeldBack } from '../disclosure/history.ts';
import { limitedLog } from '../disclosure/log.ts';
import { type Seen, seesAll, type Viewer } from '../disclosure/shown.ts';
import { eventsAfter, orderNow, orderRow } from './queries.ts';
import { eventOf } from './views.ts';
import { WatchedOrders } from './watched-orders.ts';

/** Entries of an order after a position, oldest first, and whether there are more to come. */
interface Batch<T> {
  readonly entries: readonly T[];
  readonly position: number;
  readonly ended: boolean;
}

/** One look finds so many entries at the most. */
const MOST_SEEN = 500;

/** Where the history and the log of an order are read from, and from which position on. */
export interface Following {
  readonly order: string;
  readonly from: number;
  /** Who follows. */
  readonly viewer: Viewer;
  /** Ends it quietly. */
  readonly signal: AbortSignal | undefined;
}

/** The streams of orders that people follow, in this process. */
export class Followers {
  readonly #database: ComputeDatabase;
  readonly #news = new EventEmitter().setMaxListeners(0);
  readonly #watched: WatchedOrders;
  readonly #searched: SearchedLogs;

  constructor(database: ComputeDatabase) {
    this.#database = database;
    this.#searched = new SearchedLogs(database);
    this.#watched = new WatchedOrders(database, (order) => this.announce(order));
  }

  /** There may be news of an order: its history or its log grew. */
  announce(order: string): void {
    this.#news.emit(order);
  }

  /**
   * What a viewer may see of an order's history, from after an entry of it until the order has ended and nothing is left.
   * What is told is counted: the numbers of the entries would tell how many there are in between.
   */
  async *history(following: Following): AsyncGenerator<ServerEvent<OrderEvent>> {
    const { viewer, from } = following;
    let told = 0;
    for await (const { entry, order } of withHeldBack(this.#wholeHistory(following), viewer)) {
      const event = eventOf(entry, order, viewer);
      if (event === undefined) continue;
      told += 1;
      if (told > from) yield { id: String(told), event: event.what, data: event };
    }
  }

  async *#wholeHistory(following: Following): AsyncGenerator<{ entry: EventRow; order: Seen }> {
    const { order } = following;
    yield* this.#follow({ ...following, from: 0 }, async (after) => {
      // The state is read first: what is added between the two reads is then looked for once more.
      const before = await orderNow(this.#database, order);
      // Its entries are numbered as they are counted.
      const rows = before.events > after ? await eventsAfter(this.#database, order, after) : [];
      // Once it is checked, who may see what of it stays as it is.
      const isOpen = before.pin === null && rows.length > 0;
      const row = isOpen ? await orderNow(this.#database, order) : before;
      const entries = rows.map((entry) => ({ entry, order: row }));
      return { entries, position: rows.at(-1)?.n ?? after, ended: hasEnded(before.status) };
    });
  }

  /** What the viewer may see of an order's log, in the same way. */
  async *log(following: Following): AsyncGenerator<LogEntry> {
    const { viewer, from, signal } = following;
    const order = await this.#checked(following);
    if (order === undefined) return;
    if (seesAll(viewer, order)) {
      yield* this.#wholeLog(following);
      return;
    }
    const again = () => this.#wholeLog({ ...following, from: 0 });
    const isOver = () => signal?.aborted !== true;
    const log = { order, entries: again(), again, isOver, searched: this.#searched };
    yield* limitedLog(log, viewer, from);
  }

  /** What a viewer may see of an order's log as it is now. */
  async *storedLog(id: string, viewer: Viewer): AsyncGenerator<LogEntry> {
    const order = await orderRow(this.#database, id);
    const again = () => wholeLog(this.#database, id);
    const isOver = () => hasEnded(order.status);
    const log = { order, entries: again(), again, isOver, searched: this.#searched };
    yield* seesAll(viewer, order) ? again() : limitedLog(log, viewer, 0);
  }

  /** The order, once it is known who may see what of it; undefined where the follower leaves before. */
  async #checked({ order, signal }: Following): Promise<OrderRow | undefined> {
    using _ = this.#watched.watch(order);
    while (signal?.aborted !== true) {
      using news = this.#listen(order, signal);
      const row = await orderRow(this.#database, order);
      if (row.pin !== null || row.attempt > 0 || hasEnded(row.status)) return row;
      await news.next;
    }
    return undefined;
  }

  async *#wholeLog(following: Following): AsyncGenerator<LogEntry> {
    yield* this.#follow(following, async (after) => {
      const ended = await this.#hasEnded(following.order);
      const entries = await logAfter(this.#database, following.order, after);
      return { entries, position: entries.at(-1)?.position ?? after, ended };
    });
  }

  /** An order's log as server-sent events. */
  async *logEvents(following: Following): AsyncGenerator<ServerEvent<LogChunk>> {
    for await (const { position, chunk } of this.log(following)) {
      yield { id: String(position), event: 'log', data: chunk };
    }
  }

  async #hasEnded(order: string): Promise<boolean> {
    return hasEnded((await orderNow(this.#database, order)).status);
  }

  async *#follow<T>(
    { order, from, signal }: Omit<Following, 'viewer'>,
    read: (after: number) => Promise<Batch<T>>,
  ): AsyncGenerator<T> {
    let position = from;
    using _ = this.#watched.watch(order);
    while (signal?.aborted !== true) {
      using news = this.#listen(order, signal);
      const batch = await read(position);
      const isBehind = batch.position !== position;
      position = batch.position;
      yield* batch.entries;
      // What was added since the look is news. At the end nobody announces what a look has missed.
      if (isBehind && (batch.ended || batch.entries.length >= MOST_SEEN)) continue;
      if (batch.ended) return;
      await news.next;
    }
  }

  /** Listens before the look, so that what is announced during it is not missed. */
  #listen(order: string, signal: AbortSignal | undefined): Disposable & { next: Promise<void> } {
    const { promise: next, resolve } = Promise.withResolvers<void>();
    const tell = () => resolve();
    this.#news.once(order, tell);
    signal?.addEventListener('abort', tell, { once: true });
    if (signal?.aborted === true) resolve();
    return {
      next,
      [Symbol.dispose]: () => {
        this.#news.off(order, tell);
        signal?.removeEventListener('abort', tell);
      },
    };
  }
}
