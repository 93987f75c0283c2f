import { type ErrorCode, type Failure, failureOf, hasEnded, type PlatformError } from '@morpheo/common';
import type { Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { withCoarseScores } from '../disclosure/scores.ts';
import { policyOf } from '../disclosure/shown.ts';
import { type Effect, PIN_ORDER } from '../outbox/effects.ts';
import { NOT_ISOLATED } from '../queue/isolation.ts';
import { kindOf, type MadeResult } from './kinds.ts';
import {
  type Along,
  addEffectTo,
  changeOrder,
  specOf,
  startModelOf,
  takeWaiting,
  waitedForOf,
} from './store.ts';

/** How many orders one transaction changes before it leaves those that wait for them to later ones. */
const AT_ONCE = 50;

/** How an order ends. */
export type Ending = (
  | { readonly status: 'done' }
  | { readonly status: 'failed' | 'cancelled'; readonly failure: Failure }
) & {
  /** What is to become of the result that its row has: kept also where it failed; dropped then where absent. */
  readonly keepsResult?: boolean;
  /** Whether storage has let go of what it held, since it has published the result. */
  readonly isPublished?: boolean;
};

/**
 * Ends an order that this transaction has locked: its row, its history, the orchestrator's message, what its attempts
 * staged and storage holds. Orders that wait for its model are checked now, or fail as well, see {@link settleWaiting}.
 * Returns the order as it is now.
 */
export async function endOrder(
  tx: Tx,
  order: OrderRow,
  ending: Ending,
  along: Along = {},
): Promise<OrderRow> {
  const ended = await endOne(tx, order, ending, along);
  await settleWaiting(tx, ended, ended.id);
  return ended;
}

/**
 * Settles the orders that wait for the model of an order that has ended: they are checked now, or fail as well, and with
 * them those that wait for theirs. A transaction settles so many that others need not wait long for it; an effect in the
 * outbox has the dispatcher go on with the rest. An order that has begun again is left alone: its next end settles them.
 * `cause` is the order that ended first, which the failures name.
 */
export async function settleWaiting(tx: Tx, order: OrderRow, cause: string): Promise<void> {
  // Of a prediction nothing starts.
  if (!hasEnded(order.status) || order.kind === 'predict') return;
  const makers = [order];
  while (makers.length > 0 && tx.changes.length < AT_ONCE) {
    const [maker = order] = makers;
    const room = AT_ONCE - tx.changes.length;
    const waiting = await takeWaiting(tx, maker.id, room);
    for (const next of waiting) {
      if (maker.status === 'done') await release(tx, next);
      else {
        const failure = withoutModel(next, cause);
        makers.push(await endOne(tx, next, { status: 'failed', failure }));
      }
    }
    if (waiting.length < room) makers.shift();
  }
  if (makers.length === 0) return;
  const left = await waitedForOf(
    tx,
    makers.map(({ id }) => id),
  );
  for (const id of left) await addEffectTo(tx, id, { do: 'settle_waiting', cause });
}

/**
 * Ends an order whose result storage has published, or with `refusal` will never publish. An order that is not being
 * published any more stays as it is.
 */
export async function onPublished(
  tx: Tx,
  order: OrderRow,
  refusal: PlatformError | undefined,
): Promise<void> {
  if (order.status !== 'pending' || order.lease_until !== null) return;
  // Of a run that failed, whose outputs are kept all the same.
  const failure = JSON.parse(order.failure ?? 'null') as Failure | null;
  if (refusal === undefined) {
    const published = { keepsResult: true, isPublished: true };
    if (failure === null) await endOrder(tx, order, { status: 'done', ...published });
    else await endOrder(tx, order, { status: 'failed', failure, ...published });
    return;
  }
  const refused = `Storage refused to publish the result: ${refusal.message}`;
  const reason = REFUSALS.get(refusal.code) ?? 'internal';
  const lost = failure === null ? { reason, message: refused, step: 'results' as const } : failure;
  const message = failure === null ? refused : `${failure.message} ${refused}`.slice(0, 4000);
  await endOrder(tx, order, { status: 'failed', failure: { ...lost, message } });
}

/** What storage's refusals to publish mean for an order. */
const REFUSALS: ReadonlyMap<ErrorCode, Failure['reason']> = new Map([
  ['conflict', 'invalid_result'],
  ['wrong_state', 'withheld'],
]);

async function endOne(tx: Tx, order: OrderRow, ending: Ending, along: Along = {}): Promise<OrderRow> {
  const { status } = ending;
  const failure = ending.status === 'done' ? null : ending.failure;
  const result = failure === null ? toldResult(order) : null;
  const change = {
    event: status,
    details: failure === null ? {} : { failure },
    set: {
      status,
      ended_at: tx.now,
      lease_until: null,
      publish_after: null,
      waits_for: null,
      ...NOT_ISOLATED,
      failure: failure === null ? null : JSON.stringify(failure),
      reason: failure?.reason ?? null,
      score: result?.performance?.perf ?? null,
      ...(failure === null || ending.keepsResult ? {} : { result: null }),
    },
    effects: [...effectsOf(order, ending.isPublished === true, result), ...callbackOf(order, ending)],
  };
  return await changeOrder(tx, order, change, along);
}

function effectsOf(order: OrderRow, isPublished: boolean, told: MadeResult | null): Effect[] {
  const message = kindOf(order.kind).endMessage(told) ?? [];
  // The publication lets go of it; while it waits for a start model, nothing is held for it.
  const isHeld = !isPublished && (order.attempt > 0 || order.waits_for === null);
  return [isHeld ? ({ do: 'discard_results', round: order.round } as const) : [], message].flat();
}

/** Tells the callback of a job of its end, if it has one. */
function callbackOf(order: OrderRow, ending: Ending): Effect[] {
  // Others may be long, and are not read for this.
  if (order.kind !== 'job') return [];
  const { kind, uplet } = specOf(order);
  if (kind !== 'job' || uplet.callback === undefined) return [];
  const { uuid, callback: url, output, labels } = uplet;
  const failure = 'failure' in ending ? ending.failure : undefined;
  const isKept = kindOf(kind).isStored(order) && (failure === undefined || ending.keepsResult === true);
  const told = {
    ...{ uuid, status: ending.status },
    ...(isKept ? { output } : {}),
    ...(failure === undefined
      ? {}
      : { failure: { reason: failure.reason, message: failure.message, exit_code: failure.exit_code } }),
    ...(labels === undefined ? {} : { labels }),
  };
  return [{ do: 'tell_callback', url, ending: told }];
}

/** What the orchestrator is told, which shows it to others: exact scores only where everybody may see all. */
function toldResult(order: OrderRow): MadeResult | null {
  const result = JSON.parse(order.result ?? 'null') as MadeResult | null;
  if (result === null) return null;
  return policyOf(order).readers === 'everybody' ? result : withCoarseScores(order, result);
}

async function release(tx: Tx, waiting: OrderRow): Promise<void> {
  await changeOrder(tx, waiting, {
    event: 'ready',
    details: { model: startModelOf(waiting) },
    set: { waits_for: null },
    effects: [PIN_ORDER],
  });
}

function withoutModel(order: OrderRow, maker: string): Failure {
  return failureOf('start_model_not_made', {
    message: `The model ${startModelOf(order) ?? ''} will not be made: order ${maker}, which should make it, has not succeeded. Retry that order, then this one.`,
    step: 'inputs',
  });
}
