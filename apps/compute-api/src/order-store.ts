import type { Failure, OrderEvent, OrderSpec } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { sql, type UpdateObject } from 'kysely';
import { type Effect, laneOf } from './effects.ts';
import type { Journal } from './journal.ts';
import type { OrderRow, Schema, Tx } from './schema.ts';

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
  readonly #note: Journal['note'];

  constructor({ database, note }: Journal) {
    this.#database = database;
    this.#note = note;
  }

  /**
   * Adds an order and the first entry of its history; false where its id is taken, and then nothing is written. It
   * counts as published once: the caller announces it after the commit, and if that fails it is due soon by itself.
   */
  async insert(tx: Tx, row: NewOrder): Promise<boolean> {
    const now = this.#database.now;
    const again = row.status === 'todo' ? sql`${now} + ${FIRST_PAUSE_MS}` : null;
    const gpus = sql`coalesce(${row.gpus}, (select gpus from problem_defaults where problem = ${row.problem}), 0)`;
    // Written out, since orders come in by the thousand: to build these two takes longer than to run them.
    const inserted = await sql`
      insert into orders (id, kind, status, spec, identity, problem, workflow, algo, model, model_start, model_end,
        waits_for, trace, gpus, asks_gpus, owner, priority, turn_at, attempt, charged, publishes, events, effects, due_at, created_at, publish_after)
      values (${row.id}, ${row.kind}, ${row.status}, ${row.spec}, ${row.identity}, ${row.problem}, ${row.workflow},
        ${row.algo}, ${row.model}, ${row.model_start}, ${row.model_end}, ${row.waits_for}, ${row.trace},
        ${gpus}, case when ${gpus} > 0 then 1 else 0 end,
        ${row.owner}, ${row.priority}, ${now} - ${row.aheadMs}, 0, 0, ${again === null ? 0 : 1}, 1, 0,
        ${now}, ${now}, ${again})
      on conflict (id) do nothing`.execute(tx);
    if (inserted.numAffectedRows === 0n) return false;
    await sql`
      insert into events (order_id, n, at, attempt, what, status, details)
      values (${row.id}, 1, ${now}, 0, 'accepted', ${row.status}, '{}')`.execute(tx);
    this.#note(tx, { what: 'accepted', order: { ...row, attempt: 0 } });
    return true;
  }

  /** The order, held for this transaction; undefined where there is none. */
  async take(tx: Tx, id: string): Promise<OrderRow | undefined> {
    return await tx.selectFrom('orders').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  }

  /**
   * Running orders of which `which` holds, held for this transaction: at most 100, the longest overdue first. Overdue
   * ones that somebody else holds are left to a later look; a worker's own are waited for, since nobody looks again.
   */
  async takeRunning(
    tx: Tx,
    which: { overdue: true } | { worker: string; notBoot: string },
  ): Promise<OrderRow[]> {
    const running = tx.selectFrom('orders').selectAll().where('lease_until', 'is not', null);
    const query =
      'overdue' in which
        ? running.where('lease_until', '<', this.#database.now).forUpdate().skipLocked()
        : running.where('worker', '=', which.worker).where('boot', '<>', which.notBoot).forUpdate();
    return await query.orderBy('lease_until').limit(100).execute();
  }

  /** An order that a worker runs as this attempt, in whichever process of it, held for this transaction. */
  async takeHeld(tx: Tx, held: Pick<OrderRow, 'id' | 'attempt' | 'worker'>): Promise<OrderRow | undefined> {
    return await tx
      .selectFrom('orders')
      .selectAll()
      .where('id', '=', held.id)
      .where('attempt', '=', held.attempt)
      .where('worker', '=', held.worker)
      .where('lease_until', 'is not', null)
      .forUpdate()
      .executeTakeFirst();
  }

  /** The orders that wait for the model of `id`, held for this transaction. */
  async takeWaiting(tx: Tx, id: string): Promise<OrderRow[]> {
    return await tx
      .selectFrom('orders')
      .selectAll()
      .where('waits_for', '=', id)
      .where('status', '=', 'waiting')
      .orderBy('id')
      .forUpdate()
      .execute();
  }

  /**
   * The order that makes, or made, a model: the newest where several claim to. It does not end before this
   * transaction does, so that whoever comes to wait for it is seen by its end.
   */
  async makerOf(tx: Tx, model: string): Promise<Pick<OrderRow, 'id' | 'status'> | undefined> {
    return await tx
      .selectFrom('orders')
      .select(['id', 'status'])
      .where('model_end', '=', model)
      .orderBy('created_at', 'desc')
      .limit(1)
      .forKeyShare()
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
    this.#note(tx, { what: note.what, order: changed, failure: failureOf(note) });
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
        created_at: this.#database.now,
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
    | 'trace'
    | 'owner'
    | 'priority'
  > {
  /** Null: as the problem has it by default. */
  readonly gpus: number | null;
  /** By how much it goes ahead of the orders of its owner that have no priority, in milliseconds. */
  readonly aheadMs: number;
}

function failureOf({ details }: Note): Failure | undefined {
  // Written by ourselves, where an entry of the history has one.
  return details?.failure as Failure | undefined;
}

/** The posted order of a row. What is in the table was checked before it was written. */
export function specOf(row: Pick<OrderRow, 'spec'>): OrderSpec {
  return JSON.parse(row.spec) as OrderSpec;
}
