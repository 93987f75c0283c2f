import {
  type AttemptView,
  type Failure,
  hasEnded,
  type OrderEvent,
  type OrderSummary,
  orderNeeds,
  type StepRecord,
} from '@morpheo/common';
import type { AttemptRow, EventRow, OrderRow } from '../db/schema.ts';
import { detailsFor, failureFor, momentFor, resultFor, stepFor } from '../disclosure/redact.ts';
import { isHeld, isReader, type Seen, type Viewer } from '../disclosure/shown.ts';
import { mayWithGroups, shownOwner } from '../owners/owners.ts';
import { kindOf, type MadeResult } from './kinds.ts';
import { specOf } from './store.ts';

/** Rows as `/v1` shows them to a viewer. */

/** An order as a list shows it. */
export function summaryOf(row: OrderRow, viewer: Viewer): OrderSummary {
  const spec = specOf(row);
  return {
    id: row.id,
    kind: row.kind,
    status: row.status,
    ...(row.problem === '' ? {} : { problem: row.problem, workflow: row.workflow }),
    ...present({ algo: row.algo, model: row.model, model_start: row.model_start }),
    ...(row.kind === 'learn' ? present({ model_end: row.model_end }) : {}),
    ...(row.kind !== 'job' || isReader(viewer, row) ? kindOf(row.kind).summaryOf(spec) : {}),
    ...present({ sample_of: row.sample_of }),
    gpus: row.gpus,
    ...(spec.uplet.needs === undefined ? {} : { needs: orderNeeds.parse(spec.uplet.needs) }),
    owner: shownOwner(row.owner),
    priority: row.priority,
    ...(mayWithGroups('see', row.owner, viewer) ? present({ group: row.group_name }) : {}),
    attempt: row.attempt,
    created_at: time(row.created_at),
    ...(row.started_at === null ? {} : { started_at: time(row.started_at) }),
    ...(row.ended_at === null ? {} : { ended_at: time(momentFor(viewer, row, row.attempt, row.ended_at)) }),
    ...(hasEnded(row.status) && row.result !== null
      ? { result: resultFor(viewer, row, parsed<MadeResult>(row.result)) }
      : {}),
    ...(row.failure === null ? {} : { failure: failureFor(viewer, row, parsed<Failure>(row.failure)) }),
  };
}

/** An attempt with its steps, which are read from the order's history; see {@link isHeld} for one that runs. */
export function attemptViewOf(
  row: AttemptRow,
  history: readonly EventRow[],
  order: OrderRow,
  viewer: Viewer,
): AttemptView {
  const ended = history.filter((event) => event.attempt === row.attempt && event.what === 'step_ended');
  const steps = ended.map((event) => parsed<StepRecord>(event.details));
  const held = row.ended_at === null ? steps.findIndex(({ step }) => isHeld(viewer, order, step)) : -1;
  return {
    attempt: row.attempt,
    worker: row.worker,
    started_at: time(row.started_at),
    ...(row.ended_at === null ? {} : { ended_at: time(momentFor(viewer, order, row.attempt, row.ended_at)) }),
    ...(row.outcome === null ? {} : { outcome: row.outcome }),
    ...(row.failure === null ? {} : { failure: failureFor(viewer, order, parsed<Failure>(row.failure)) }),
    steps: steps
      .slice(0, held === -1 ? undefined : held)
      .flatMap((step) => stepFor(viewer, order, step) ?? []),
  };
}

/** An entry of an order's history; undefined where it is not for the viewer. */
export function eventOf(row: EventRow, order: Seen, viewer: Viewer): OrderEvent | undefined {
  const details = detailsFor(viewer, order, row);
  if (details === undefined) return undefined;
  return {
    at: time(momentFor(viewer, order, row.attempt, row.at)),
    order: row.order_id,
    attempt: row.attempt,
    what: row.what,
    status: row.status,
    details: { ...details },
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
