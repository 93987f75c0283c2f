import type {
  AttemptView,
  Failure,
  OrderEvent,
  OrderResult,
  OrderSummary,
  StepRecord,
} from '@morpheo/common';
import { specOf } from './order-store.ts';
import { shownOwner } from './owners.ts';
import type { AttemptRow, EventRow, OrderRow } from './schema.ts';

/** Rows as `/v1` shows them. */

/** An order as a list shows it. */
export function summaryOf(row: OrderRow): OrderSummary {
  const { uplet } = specOf(row);
  return {
    id: row.id,
    kind: row.kind,
    status: row.status,
    problem: row.problem,
    workflow: row.workflow,
    ...present({ algo: row.algo, model: row.model, model_start: row.model_start, model_end: row.model_end }),
    ...('rank' in uplet
      ? { train_data: uplet.train_data, test_data: uplet.test_data, rank: uplet.rank }
      : { data: uplet.data }),
    gpus: row.gpus,
    owner: shownOwner(row.owner),
    priority: row.priority,
    attempt: row.attempt,
    created_at: time(row.created_at),
    ...(row.started_at === null ? {} : { started_at: time(row.started_at) }),
    ...(row.ended_at === null ? {} : { ended_at: time(row.ended_at) }),
    ...(row.status === 'done' ? { result: parsed<OrderResult>(row.result) } : {}),
    ...(row.failure === null ? {} : { failure: parsed<Failure>(row.failure) }),
  };
}

/** An attempt with its steps, which are read from the order's history. */
export function attemptViewOf(row: AttemptRow, history: readonly EventRow[]): AttemptView {
  return {
    attempt: row.attempt,
    worker: row.worker,
    started_at: time(row.started_at),
    ...(row.ended_at === null ? {} : { ended_at: time(row.ended_at) }),
    ...(row.outcome === null ? {} : { outcome: row.outcome }),
    ...(row.failure === null ? {} : { failure: parsed<Failure>(row.failure) }),
    steps: history
      .filter((event) => event.attempt === row.attempt && event.what === 'step_ended')
      .map((event) => parsed<StepRecord>(event.details)),
  };
}

/** An entry of an order's history. */
export function eventOf(row: EventRow): OrderEvent {
  return {
    at: time(row.at),
    order: row.order_id,
    attempt: row.attempt,
    what: row.what,
    status: row.status,
    details: parsed<Record<string, unknown>>(row.details),
  };
}

/** A time of the database as `/v1` shows it. */
export function time(ms: number): string {
  return new Date(ms).toISOString();
}

/** JSON of our own tables: checked before it was written. */
function parsed<T>(json: string | null): T {
  return JSON.parse(json ?? 'null') as T;
}

function present<T extends Record<string, string | null>>(ids: T): { [K in keyof T]?: string } {
  return Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== null)) as {
    [K in keyof T]?: string;
  };
}
