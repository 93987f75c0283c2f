import type { OrderEvent, OrderKind, OrderSpec } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { sql, type Transaction, type UpdateObject } from 'kysely';
import { type Effect, laneOf } from './effects.ts';
import type { OrderRow, Schema } from './schema.ts';

/** A transaction on the tables of compute-api. */
export type Tx = Transaction<Schema>;

/** The columns that a change sets; values or expressions such as the database's clock. */
export type OrderChange = UpdateObject<Schema, 'orders'>;

/** What a change writes into the order's history. */
export interface Note {
  readonly what: OrderEvent['what'];
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The statements by which orders change. Every change goes through {@link OrderStore.change}: the row, its history
 * and its effects move in one transaction or not at all.
 */
export class OrderStore {
  readonly #database: Database<Schema>;

  constructor(database: Database<Schema>) {
    this.#database = database;
  }

  /**
   * Adds an order and the first entry of its history; false where its id is taken, and then nothing is written. It
   * counts as published once: the caller announces it after the commit, and if that fails it is due soon by itself.
   */
  async insert(tx: Tx, row: NewOrder): Promise<boolean> {
    const now = this.#database.now;
    const again = row.status === 'todo' ? sql`${now} + ${FIRST_PAUSE_MS}` : null;
    // Written out, since orders come in by the thousand: to build these two takes longer than to run them.
    const inserted = await sql`
      insert into orders (id, kind, status, spec, identity, problem, workflow, algo, model, model_start, model_end,
        waits_for, attempt, charged, publishes, events, effects, due_at, created_at, publish_after)
      values (${row.id}, ${row.kind}, ${row.status}, ${row.spec}, ${row.identity}, ${row.problem}, ${row.workflow},
        ${row.algo}, ${row.model}, ${row.model_start}, ${row.model_end}, ${row.waits_for}, 0, 0, ${again === null ? 0 : 1}, 1, 0,
        ${now}, ${now}, ${again})
      on conflict (id) do nothing`.execute(tx);
    if (inserted.numAffectedRows === 0n) return false;
    await sql`
      insert into events (order_id, n, at, attempt, what, status, details)
      values (${row.id}, 1, ${now}, 0, 'accepted', ${row.status}, '{}')`.execute(tx);
    return true;
  }

  /** The order, held for this transaction; undefined where there is none. */
  async take(tx: Tx, id: string): Promise<OrderRow | undefined> {
    const query = tx.selectFrom('orders').selectAll().where('id', '=', id);
    return await (this.#database.engine === 'postgres' ? query.forUpdate() : query).executeTakeFirst();
  }

  /** The oldest order of the kinds that is due, held for this transaction; orders that others hold are passed over. */
  async takeDue(tx: Tx, kinds: readonly OrderKind[]): Promise<OrderRow | undefined> {
    const query = tx
      .selectFrom('orders')
      .selectAll()
      .where('status', '=', 'todo')
      .where('kind', 'in', kinds)
      .where('due_at', '<=', this.#database.now)
      .orderBy('created_at')
      .orderBy('id')
      .limit(1);
    const held = this.#database.engine === 'postgres' ? query.forUpdate().skipLocked() : query;
    return await held.executeTakeFirst();
  }

  /** Running orders of which `which` holds, held for this transaction: at most 100, the longest overdue first. */
  async takeRunning(
    tx: Tx,
    which: { overdue: true } | { worker: string; notBoot: string },
  ): Promise<OrderRow[]> {
    let query = tx.selectFrom('orders').selectAll().where('lease_until', 'is not', null);
    query =
      'overdue' in which
        ? query.where('lease_until', '<', this.#database.now)
        : query.where('worker', '=', which.worker).where('boot', '<>', which.notBoot);
    query = query.orderBy('lease_until').limit(100);
    return await (this.#database.engine === 'postgres' ? query.forUpdate().skipLocked() : query).execute();
  }

  /** The orders that wait for the model of `id`, held for this transaction. */
  async takeWaiting(tx: Tx, id: string): Promise<OrderRow[]> {
    const query = tx
      .selectFrom('orders')
      .selectAll()
      .where('waits_for', '=', id)
      .where('status', '=', 'waiting');
    return await (this.#database.engine === 'postgres' ? query.forUpdate() : query).execute();
  }

  /** The order that makes, or made, a model: the newest where several claim to. */
  async makerOf(tx: Tx, model: string): Promise<Pick<OrderRow, 'id' | 'status'> | undefined> {
    return await tx
      .selectFrom('orders')
      .select(['id', 'status'])
      .where('model_end', '=', model)
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirst();
  }

  /**
   * Changes an order that this transaction holds, notes it in its history and adds the effects. Returns the order as
   * it is now. The fence is the caller's: it has compared `order` with what it may change.
   */
  async change(
    tx: Tx,
    order: OrderRow,
    set: OrderChange,
    note: Note,
    effects: readonly Effect[] = [],
  ): Promise<OrderRow> {
    const changed = await tx
      .updateTable('orders')
      .set({ ...set, events: order.events + 1, effects: order.effects + effects.length })
      .where('id', '=', order.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    await this.#addEvent(tx, changed, note);
    for (const [index, effect] of effects.entries()) {
      await this.#addEffect(tx, changed.id, order.effects + index + 1, effect);
    }
    return changed;
  }

  async #addEvent(tx: Tx, order: OrderRow, note: Note): Promise<void> {
    await tx
      .insertInto('events')
      .values({
        order_id: order.id,
        n: order.events,
        at: this.#database.now,
        attempt: order.attempt,
        what: note.what,
        status: order.status,
        details: JSON.stringify(note.details ?? {}),
      })
      .execute();
  }

  async #addEffect(tx: Tx, id: string, n: number, effect: Effect): Promise<void> {
    await tx
      .insertInto('outbox')
      .values({
        order_id: id,
        n,
        lane: laneOf(effect),
        effect: JSON.stringify(effect),
        due_at: this.#database.now,
        tries: 0,
        last_error: null,
      })
      .execute();
  }
}

/** Between the first message about an order that nobody takes and the second, in milliseconds. */
export const FIRST_PAUSE_MS = 2000;

/** What a new order brings; the rest of its row starts as zero or null. */
export interface NewOrder
  extends Pick<
    OrderRow,
    | 'id'
    | 'kind'
    | 'status'
    | 'spec'
    | 'identity'
    | 'problem'
    | 'workflow'
    | 'algo'
    | 'model'
    | 'model_start'
    | 'model_end'
    | 'waits_for'
  > {}

/** The posted order of a row. What is in the table was checked before it was written. */
export function specOf(row: Pick<OrderRow, 'spec'>): OrderSpec {
  return JSON.parse(row.spec) as OrderSpec;
}
