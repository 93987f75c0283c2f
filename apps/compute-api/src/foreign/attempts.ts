import { randomUUID } from 'node:crypto';
import { failureOf, KIND_NAMES, type OriginalKind, type Performance, PlatformError } from '@morpheo/common';
import { closeAttempt } from '../attempts/fence.ts';
import { keptResult } from '../attempts/report.ts';
import type { ForeignWorkers } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { endOrder } from '../orders/finish.ts';
import type { MadeResult } from '../orders/kinds.ts';
import { changeOrder, takeOrder } from '../orders/store.ts';
import { startAttempts } from '../queue/start.ts';

/**
 * The life of an attempt that a foreign worker makes. It is a row like any other: begun by the worker's first call,
 * with one lease that nobody renews, and ended by its report. Its `boot` is the uuid by which its message calls the
 * order, so that the reports of a message are those of one attempt, and a late one changes nothing.
 */

/** A message of the queue as its worker names it. */
export interface MessageRef {
  readonly kind: OriginalKind;
  /** What the message calls the order. */
  readonly uuid: string;
}

/** What a worker says that it has made: scores of a model, whose id its order names, or the id of a prediction. */
export type Reported = { readonly performance: Performance } | { readonly uuid: string };

/** A worker has taken a message: its attempt begins. Throws `invalid_request`, in the originals' words, where it may not. */
export async function takeMessage(
  database: ComputeDatabase,
  foreign: ForeignWorkers,
  ref: MessageRef,
): Promise<void> {
  await database.write(async (tx) => {
    if ((await begin(tx, foreign, ref)) !== undefined) return;
    const { uplet } = KIND_NAMES[ref.kind];
    throw new PlatformError(
      'invalid_request',
      `worker not set for ${uplet} ${ref.uuid}. Might be already pending`,
    );
  });
}

/**
 * A worker reports how its message ended: with a result that it has stored, or null where it failed. The order is done
 * once storage has shown that result. A worker whose first call was lost begins and ends its attempt here. Throws
 * `invalid_request`, in the originals' words, for a report that changes nothing.
 */
export async function reportMessage(
  database: ComputeDatabase,
  foreign: ForeignWorkers,
  ref: MessageRef,
  reported: Reported | null,
): Promise<void> {
  await database.write(async (tx) => {
    const order = (await running(tx, ref)) ?? (await begin(tx, foreign, ref));
    if (order === undefined) {
      throw new PlatformError(
        'invalid_request',
        `no update of ${KIND_NAMES[ref.kind].uplet} ${ref.uuid}: it is not run by who has this message`,
      );
    }
    if (reported === null) await fail(tx, order);
    else await finish(tx, order, resultOf(order, reported));
  });
}

async function begin(tx: Tx, { timeoutMs }: ForeignWorkers, ref: MessageRef): Promise<OrderRow | undefined> {
  const order = await takeNamed(tx, ref);
  if (order?.status !== 'todo' || (await wasTaken(tx, order, ref))) return undefined;
  // Nobody knows which worker it is: each attempt has one of its own, as what is lost with one says nothing of others.
  const by = { id: randomUUID(), boot: ref.uuid };
  const [started] = await startAttempts(tx, [{ order, by }], timeoutMs);
  return started;
}

async function running(tx: Tx, ref: MessageRef): Promise<OrderRow | undefined> {
  const order = await takeNamed(tx, ref);
  return order?.lease_until !== null && order?.boot === ref.uuid ? order : undefined;
}

/** The order that a message stands for, locked for this transaction. */
async function takeNamed(tx: Tx, { kind, uuid }: MessageRef): Promise<OrderRow | undefined> {
  const message = await tx.db
    .selectFrom('foreign_messages')
    .select('order_id')
    .where('id', '=', uuid)
    .executeTakeFirst();
  const order = await takeOrder(tx, message?.order_id ?? uuid);
  return order?.kind === kind ? order : undefined;
}

/** Whether an attempt was made with a message: it is not begun a second time. */
async function wasTaken({ db }: Tx, { id }: OrderRow, { uuid }: MessageRef): Promise<boolean> {
  const attempt = await db
    .selectFrom('attempts')
    .select('attempt')
    .where('order_id', '=', id)
    .where('boot', '=', uuid)
    .executeTakeFirst();
  return attempt !== undefined;
}

const FAILED = failureOf('foreign_worker_failed', {
  message: 'Its worker, which is one of the original, reported that it failed, and nothing else.',
});

async function fail(tx: Tx, order: OrderRow): Promise<void> {
  await endOrder(tx, order, { status: 'failed', failure: FAILED });
  await closeAttempt(tx, order, 'failed', { failure: JSON.stringify(FAILED) });
}

function resultOf({ id, model_end }: OrderRow, reported: Reported): MadeResult {
  if ('uuid' in reported) return reported;
  if (model_end === null) throw new Error(`order ${id} names no model to make`);
  return { uuid: model_end, ...reported };
}

async function finish(tx: Tx, order: OrderRow, result: MadeResult): Promise<void> {
  const type = order.model_end === null ? 'prediction' : 'model';
  await changeOrder(tx, order, {
    event: 'publishing',
    set: { lease_until: null, result: JSON.stringify(keptResult(order, result)) },
    effects: [
      { do: 'confirm_result', type, uuid: result.uuid },
      // No publication lets go of what storage holds for it.
      { do: 'discard_results', round: order.round },
    ],
  });
  await closeAttempt(tx, order, 'done');
}
