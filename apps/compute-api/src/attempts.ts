import { createHash } from 'node:crypto';
import { type Failure, type OrderStatus, PlatformError, type Report, type StepRecord } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { sql } from 'kysely';
import { type BackOff, delayMs } from './back-off.ts';
import { fence, type Held } from './claims.ts';
import type { Endings } from './endings.ts';
import type { OrderStore } from './order-store.ts';
import { LOSSES_BESIDE_OTHERS, wasBesideOthers } from './quarantine.ts';
import type { AttemptRow, OrderRow, Schema, Tx } from './schema.ts';

/** What a worker may say of an attempt while it holds its lease, and how attempts end. */
export interface Attempts {
  /** Notes a step in the history. Throws `stale_attempt`. */
  noteStep(held: Held, note: StepNote): Promise<void>;
  /** Ends the attempt. The same report again gets the same answer; any other late one throws `stale_attempt`. */
  report(held: Held, report: Report): Promise<OrderStatus>;
  /** Gives up on attempts whose worker was lost: the orders become due again, or fail after the last attempt. */
  lose(tx: Tx, orders: readonly OrderRow[], why: string): Promise<void>;
}

/** A step that started or ended. */
export type StepNote =
  | { readonly what: 'started'; readonly step: StepRecord['step'] }
  | { readonly what: 'ended'; readonly record: StepRecord };

/** How often, and when again, an order is tried that the platform failed. */
export interface Patience {
  readonly attempts: number;
  readonly backOff: BackOff;
}

/** Makes the {@link Attempts}. */
export function createAttempts(options: {
  database: Database<Schema>;
  store: OrderStore;
  endings: Endings;
  patience: Patience;
  /** Called after a commit: the order's history grew, or also its state. */
  noted: (order: string) => void;
  changed: (order: string) => void;
}): Attempts {
  const { database, store, endings, patience, noted, changed } = options;

  /** Due again after a pause, or failed where that was the last attempt. */
  async function again(tx: Tx, order: OrderRow, what: 'lost' | 'error', failure: Failure): Promise<OrderRow> {
    const charged = order.charged + 1;
    if (charged >= patience.attempts) {
      const message = `${failure.message} That was attempt ${charged} of ${patience.attempts}.`;
      return await endings.end(tx, order, { status: 'failed', failure: { ...failure, message } });
    }
    return await dueAgain(tx, order, { charged }, what, failure);
  }

  /** Lost beside others: nobody knows whose doing it was, so it is not charged; the next time it may be run alone. */
  async function againAlone(tx: Tx, order: OrderRow, failure: Failure): Promise<OrderRow> {
    const lost_beside = order.lost_beside + 1;
    const alone = lost_beside >= LOSSES_BESIDE_OTHERS ? 1 : 0;
    return await dueAgain(tx, order, { lost_beside, alone }, 'lost', failure);
  }

  async function dueAgain(
    tx: Tx,
    order: OrderRow,
    counts: Partial<Pick<OrderRow, 'charged' | 'lost_beside' | 'alone'>>,
    what: 'lost' | 'error',
    failure: Failure,
  ): Promise<OrderRow> {
    const { charged, lost_beside } = { ...order, ...counts };
    const pause = delayMs(patience.backOff, charged + lost_beside - (what === 'lost' ? 1 : 0));
    const due = sql<number>`${database.now} + ${pause}`;
    return await store.change(
      tx,
      order,
      { ...FREE, ...counts, due_at: due, publish_after: due },
      { what, details: { failure, again_in_ms: pause } },
    );
  }

  async function apply(tx: Tx, order: OrderRow, report: Report): Promise<OrderRow> {
    switch (report.outcome) {
      case 'done':
        checkResult(order, report);
        return await store.change(
          tx,
          order,
          { lease_until: null, result: JSON.stringify(report.result) },
          { what: 'publishing', details: {} },
          [{ do: 'publish_result', attempt: order.attempt }],
        );
      case 'failed':
        return await endings.end(tx, order, { status: 'failed', failure: report.failure });
      case 'error':
        return await again(tx, order, 'error', report.failure);
      case 'released':
        return await store.change(
          tx,
          order,
          { ...FREE, due_at: database.now, publish_after: database.now },
          { what: 'released' },
        );
    }
  }

  async function close(tx: Tx, order: OrderRow, end: Pick<AttemptRow, 'outcome' | 'failure' | 'report'>) {
    await tx
      .updateTable('attempts')
      .set({ ...end, ended_at: database.now })
      .where('order_id', '=', order.id)
      .where('attempt', '=', order.attempt)
      .execute();
  }

  return {
    async noteStep(held, note) {
      await database.write(async (tx) => {
        const order = await store.take(tx, held.order);
        fence(order, held);
        if (note.what === 'started') {
          await store.change(tx, order, {}, { what: 'step_started', details: { step: note.step } });
        } else await store.change(tx, order, {}, { what: 'step_ended', details: note.record });
      });
      noted(held.order);
    },

    async report(held, report) {
      const hash = createHash('sha256').update(JSON.stringify(report)).digest('hex');
      const status = await database.write(async (tx) => {
        const order = await store.take(tx, held.order);
        if (order !== undefined && (await wasReported(tx, held, hash))) return order.status;
        fence(order, held);
        const after = await apply(tx, order, report);
        const failure = 'failure' in report ? JSON.stringify(report.failure) : null;
        await close(tx, order, { outcome: report.outcome, failure, report: hash });
        return after.status;
      });
      changed(held.order);
      return status;
    },

    async lose(tx, orders, why) {
      for (const order of orders) {
        const beside = await wasBesideOthers(tx, order);
        const failure: Failure = { reason: 'worker_lost', message: lostMessage(order, beside, why) };
        // One that was to be run alone is charged whatever it looks like: clocks may be set.
        if (beside && order.alone === 0) await againAlone(tx, order, failure);
        else await again(tx, order, 'lost', failure);
        await close(tx, order, { outcome: 'lost', failure: JSON.stringify(failure), report: null });
      }
    },
  };
}

function lostMessage({ worker, lost_beside, alone }: OrderRow, beside: boolean, why: string): string {
  const company = alone === 1 ? ' and nothing else' : beside ? ', and others beside it' : '';
  const before = lost_beside === 0 ? '' : ` Before that it was lost beside other orders (${lost_beside}).`;
  return `Worker ${worker} was lost while it ran the order${company}: ${why}.${before}`;
}

const FREE = { status: 'todo', worker: null, boot: null, lease_until: null } as const;

async function wasReported(tx: Tx, held: Held, hash: string): Promise<boolean> {
  const row = await tx
    .selectFrom('attempts')
    .select('report')
    .where('order_id', '=', held.order)
    .where('attempt', '=', held.attempt)
    .executeTakeFirst();
  return row?.report === hash;
}

function checkResult(order: OrderRow, report: Extract<Report, { outcome: 'done' }>): void {
  if (order.kind !== 'learn') return;
  if (report.result.uuid !== order.model_end) {
    throw new PlatformError(
      'invalid_request',
      `body.result.uuid: should be the order's model_end, ${order.model_end}`,
    );
  }
  if (report.result.performance === undefined) {
    throw new PlatformError('invalid_request', 'body.result.performance: a learn order ends with its scores');
  }
}
