import { createHash } from 'node:crypto';
import {
  delayMs,
  type Failure,
  failureOf,
  type OrderResult,
  type OrderStatus,
  PlatformError,
  type Report,
} from '@morpheo/common';
import { sql } from 'kysely';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { findInLog, type LogPiece, logOf } from '../disclosure/canaries.ts';
import { withCoarseScores } from '../disclosure/scores.ts';
import { policyOf } from '../disclosure/shown.ts';
import { endOrder } from '../orders/finish.ts';
import { kindOf, type MadeResult } from '../orders/kinds.ts';
import { trySample } from '../orders/sample.ts';
import { type Along, changeOrder } from '../orders/store.ts';
import { type Effect, PIN_ORDER } from '../outbox/effects.ts';
import { isIsolated, lossesBesideOthers, wasBesideOthers } from '../queue/isolation.ts';
import { toldBy } from './events.ts';
import { type AttemptRef, type CalledAttempt, closeAttempt, closingOf, takeAttempts } from './fence.ts';

/** How often, and when again, an order is tried that the platform failed. */
export type RetryPolicy = Pick<ComputeSettings, 'attempts' | 'retryBackOff'>;

/**
 * Ends the attempt as its worker reports, and returns what the order is then. The same report again gets the same
 * answer; any other late one throws `stale_attempt`, a result that does not fit the order `invalid_request`, and the report of
 * another caller than the worker's `forbidden`.
 */
export async function reportAttempt(
  database: ComputeDatabase,
  policy: RetryPolicy,
  ref: CalledAttempt,
  report: Report,
): Promise<OrderStatus> {
  const hash = createHash('sha256').update(JSON.stringify(report)).digest('hex');
  const apply = async (finding: Failure | undefined, isSearched: boolean) =>
    await database.write(async (tx) => {
      const [taken] = await takeAttempts(tx, [ref]);
      if (taken?.status !== 'fulfilled') throw taken?.reason;
      const { order, known, requireCurrent } = taken.value;
      if (known.report === hash) return order.status;
      requireCurrent();
      const { canaries } = policyOf(order);
      if (report.outcome === 'done' && canaries.length > 0 && !isSearched) return { canaries };
      const judged: Report = finding === undefined ? report : { outcome: 'failed', failure: finding };
      const { changes, counts, logs } = toldBy(tx, taken.value, report.events ?? [], { lenient: true });
      const failure = 'failure' in judged ? JSON.stringify(judged.failure) : null;
      const closing = closingOf(tx, order, judged.outcome, { ...counts, failure, report: hash });
      const along = { changes, beside: [closing, ...logs] };
      return (await applyReport(tx, policy, order, judged, along)).status;
    });
  const applied = await apply(undefined, false);
  if (typeof applied === 'string') return applied;
  const finding = await findingOf(applied.canaries, logWith(database, ref, report.events));
  const judged = await apply(finding, true);
  if (typeof judged !== 'string') throw new Error('A log was looked through, and is to be once more.');
  return judged;
}

/** Why an attempt has no result though it succeeded: its log holds a canary of the problem. */
async function findingOf(
  canaries: readonly string[],
  log: AsyncIterable<LogPiece>,
): Promise<Failure | undefined> {
  const hit = await findInLog(canaries, log);
  if (hit === undefined) return undefined;
  const message = `What the step ${hit.step} printed holds the canary number ${hit.number} of its problem.`;
  return failureOf('canary_found', { message, step: 'results' });
}

/** The log of an order, and at its end what of it comes with a report. */
async function* logWith(
  database: ComputeDatabase,
  { order, attempt }: AttemptRef,
  events: Report['events'] = [],
): AsyncGenerator<LogPiece> {
  yield* logOf(database, order);
  for (const event of events) if (event.what === 'log') yield { ...event, attempt };
}

/** Gives up on attempts whose worker was lost: the orders become due again, or fail after the last attempt. */
export async function loseAttempts(
  tx: Tx,
  policy: RetryPolicy,
  orders: readonly OrderRow[],
  why: string,
): Promise<void> {
  for (const order of orders) {
    const beside = await wasBesideOthers(tx, order);
    const failure = failureOf('workers_lost', { message: lostMessage(order, beside, why) });
    // Beside others nobody knows whose doing it was, so it is not charged. One that was to be run isolated is charged
    // whatever it looks like: clocks may be set.
    if (beside && !isIsolated(order)) {
      await makeDueAgain(tx, policy, order, { event: 'lost', failure, counts: lossesBesideOthers(order) });
    } else await tryAgain(tx, policy, order, 'lost', failure);
    await closeAttempt(tx, order, 'lost', { failure: JSON.stringify(failure) });
  }
}

async function applyReport(
  tx: Tx,
  policy: RetryPolicy,
  order: OrderRow,
  report: Report,
  along: Along,
): Promise<OrderRow> {
  switch (report.outcome) {
    case 'done':
      return await finishWith(tx, order, report.result, along);
    case 'failed': {
      const { failure } = report;
      if (report.result !== undefined) return await finishWith(tx, order, report.result, along, failure);
      const failed = await endOrder(tx, order, { status: 'failed', failure }, along);
      await trySample(tx, order, failure);
      return failed;
    }
    case 'error':
      return await tryAgain(tx, policy, order, 'error', report.failure, along);
    case 'released': {
      const again = upAgain(order);
      const set = { ...FREE, ...again.set, due_at: tx.now, publish_after: tx.now };
      return await changeOrder(tx, order, { event: 'released', set, effects: again.effects }, along);
    }
  }
}

/**
 * Ends the attempt that has won with its result: as soon as storage has published it, where it is kept there. Where there
 * is a `failure`, the order fails with it then.
 */
async function finishWith(
  tx: Tx,
  order: OrderRow,
  reported: OrderResult,
  along: Along,
  failure?: Failure,
): Promise<OrderRow> {
  if (failure !== undefined && order.kind !== 'job')
    throw new PlatformError(
      'invalid_request',
      'body.result: an order that failed has none, unless it is a job',
    );
  kindOf(order.kind).checkResult(order, reported);
  const set = {
    lease_until: null,
    result: JSON.stringify(keptResult(order, reported)),
    ...(failure === undefined ? {} : { failure: JSON.stringify(failure) }),
  };
  const details = failure === undefined ? {} : { failed: true };
  const isStored = kindOf(order.kind).isStored(order);
  const publish = { do: 'publish_result', attempt: order.attempt } as const;
  const effects: Effect[] = isStored ? [failure === undefined ? publish : { ...publish, failed: true }] : [];
  const change = { event: 'publishing', details, set, effects } as const;
  const finished = await changeOrder(tx, order, change, along);
  if (isStored) return finished;
  return failure === undefined
    ? await endOrder(tx, finished, { status: 'done', keepsResult: true })
    : await endOrder(tx, finished, { status: 'failed', failure, keepsResult: true });
}

/** The result as it is kept and told: exact scores over hidden data are nowhere. */
export function keptResult(order: OrderRow, result: MadeResult): MadeResult {
  return policyOf(order).hidden ? withCoarseScores(order, result) : result;
}

/** Charged, and due again after a pause; or failed where that was the last attempt. */
async function tryAgain(
  tx: Tx,
  policy: RetryPolicy,
  order: OrderRow,
  event: 'lost' | 'error',
  failure: Failure,
  along: Along = {},
): Promise<OrderRow> {
  const charged = order.charged + 1;
  if (charged >= policy.attempts) {
    const message = `${failure.message} That was attempt ${charged} of ${policy.attempts}.`;
    return await endOrder(tx, order, { status: 'failed', failure: { ...failure, message } }, along);
  }
  return await makeDueAgain(tx, policy, order, { event, failure, counts: { charged } }, along);
}

async function makeDueAgain(
  tx: Tx,
  { retryBackOff }: RetryPolicy,
  order: OrderRow,
  broken: { event: 'lost' | 'error'; failure: Failure; counts: Partial<OrderRow> },
  along: Along = {},
): Promise<OrderRow> {
  const { event, failure, counts } = broken;
  const { charged, lost_beside } = { ...order, ...counts };
  const pause = delayMs(charged + lost_beside - (event === 'lost' ? 1 : 0), retryBackOff);
  const due = sql<number>`${tx.now} + ${pause}`;
  const again = upAgain(order);
  const change = {
    event,
    details: { failure, again_in_ms: pause },
    set: { ...FREE, ...again.set, ...counts, due_at: due, publish_after: due },
    effects: again.effects,
  };
  return await changeOrder(tx, order, change, along);
}

const FREE = { worker: null, boot: null, lease_until: null } as const;

/** Up for the next worker; one that was claimed before orders were checked, and still is not, is checked first. */
function upAgain({ pin }: OrderRow): { set: Pick<OrderRow, 'status'>; effects: Effect[] } {
  return pin === null
    ? { set: { status: 'waiting' }, effects: [PIN_ORDER] }
    : { set: { status: 'todo' }, effects: [] };
}

function lostMessage(order: OrderRow, beside: boolean, why: string): string {
  const company = isIsolated(order) ? ' and nothing else' : beside ? ', and others beside it' : '';
  const { worker, lost_beside } = order;
  const before = lost_beside === 0 ? '' : ` Before that it was lost beside other orders (${lost_beside}).`;
  return `Worker ${worker} was lost while it ran the order${company}: ${why}.${before}`;
}
