import {
  type OrderEvent,
  type OrderKind,
  type OrderStatus,
  type OrderSummary,
  type OrderView,
  PAGE,
  PlatformError,
} from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { ExpressionBuilder } from 'kysely';
import { attemptViewOf, eventOf, summaryOf } from './order-views.ts';
import { keptOwner } from './owners.ts';
import type { OrderRow, Schema } from './schema.ts';

/** What a list is narrowed to. */
export interface OrderFilter {
  readonly kind?: OrderKind | undefined;
  readonly status?: OrderStatus | undefined;
  readonly problem?: string | undefined;
  readonly algo?: string | undefined;
  /** As `/v1` shows it. */
  readonly owner?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** The questions about orders that change nothing. */
export class OrderQueries {
  readonly #database: Database<Schema>;

  constructor(database: Database<Schema>) {
    this.#database = database;
  }

  /** A page of orders, newest first. Throws `invalid_request` for a cursor that is not one of ours. */
  async list(filter: OrderFilter): Promise<{ items: OrderSummary[]; total: number; next?: string }> {
    const limit = filter.limit ?? PAGE.usual;
    const after = filter.cursor === undefined ? undefined : readCursor(filter.cursor);
    const rows = await this.#database.read
      .selectFrom('orders')
      .selectAll()
      .where((row) =>
        row.and([matches(row, filter), after === undefined ? row.lit(true) : olderThan(row, after)]),
      )
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(limit + 1)
      .execute();
    const { total } = await this.#database.read
      .selectFrom('orders')
      .select((row) => row.fn.countAll<number>().as('total'))
      .where((row) => matches(row, filter))
      .executeTakeFirstOrThrow();
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    const next = rows.length > limit && last !== undefined ? { next: cursorOf(last) } : {};
    return { items: items.map(summaryOf), total: Number(total), ...next };
  }

  /** The order's row. Throws `not_found`. */
  async row(id: string): Promise<OrderRow> {
    const row = await this.#database.read
      .selectFrom('orders')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    if (row === undefined) throw new PlatformError('not_found', `There is no order ${id}.`);
    return row;
  }

  /** The order with its attempts. Throws `not_found`. */
  async view(id: string): Promise<OrderView> {
    const row = await this.row(id);
    const attempts = await this.#database.read
      .selectFrom('attempts')
      .selectAll()
      .where('order_id', '=', id)
      .orderBy('attempt')
      .execute();
    const steps = await this.#database.read
      .selectFrom('events')
      .selectAll()
      .where('order_id', '=', id)
      .where('what', '=', 'step_ended')
      .orderBy('n')
      .execute();
    return { ...summaryOf(row), attempts: attempts.map((attempt) => attemptViewOf(attempt, steps)) };
  }

  /** Entries of an order's history after entry `n`, at most 500. */
  async eventsAfter(id: string, n: number): Promise<{ n: number; event: OrderEvent }[]> {
    const rows = await this.#database.read
      .selectFrom('events')
      .selectAll()
      .where('order_id', '=', id)
      .where('n', '>', n)
      .orderBy('n')
      .limit(500)
      .execute();
    return rows.map((row) => ({ n: row.n, event: eventOf(row) }));
  }

  /** How many orders are in each state. */
  async counts(): Promise<Record<string, number>> {
    const rows = await this.#database.read
      .selectFrom('orders')
      .select((row) => ['status', row.fn.countAll<number>().as('count')] as const)
      .groupBy('status')
      .execute();
    return Object.fromEntries(rows.map((row) => [row.status, Number(row.count)]));
  }
}

/** True for the states that nothing leads out of by itself. */
export function hasEnded(status: OrderStatus): boolean {
  return status === 'done' || status === 'failed' || status === 'cancelled';
}

type Row = ExpressionBuilder<Schema, 'orders'>;

function matches(row: Row, filter: OrderFilter) {
  const { kind, status, problem, algo } = filter;
  const owner = filter.owner === undefined ? undefined : keptOwner(filter.owner);
  return row.and(
    Object.fromEntries(
      Object.entries({ kind, status, problem, algo, owner }).filter(([, value]) => value !== undefined),
    ),
  );
}

/** As one comparison of two columns: of an `or`, engines read all that is newer. */
function olderThan(row: Row, after: { at: number; id: string }) {
  return row(row.refTuple('created_at', 'id'), '<', row.tuple(after.at, after.id));
}

function cursorOf(row: OrderRow): string {
  return `${row.created_at}.${row.id}`;
}

function readCursor(cursor: string): { at: number; id: string } {
  const match = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(cursor);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new PlatformError(
      'invalid_request',
      'query.cursor: should be the `next` of an earlier page, unchanged',
    );
  }
  return { at: Number(match[1]), id: match[2] };
}
