import { type Failure, failureOf, type OrderSpec, PlatformError } from '@morpheo/common';
import { MOST_MESSAGE_BYTES } from '@morpheo/service/broker';
import type { OrderRow } from '../db/schema.ts';
import type { Pin } from '../orders/store.ts';
import { queueMessage } from '../outbox/message.ts';

/** Foreign workers are those of the originals: they take orders from the queue, and know nothing beyond the originals. */

/**
 * Throws, when an order is posted, for what no foreign worker could run: `too_large` where it fits into no message of
 * the queue, `invalid_order` where it is a job, asks for GPUs, or has needs.
 */
export function refuseUnfit(spec: OrderSpec): void {
  const { gpus = 0, needs } = spec.uplet;
  if (spec.kind === 'job') throw new PlatformError('invalid_order', NO_JOBS);
  if (gpus > 0) throw new PlatformError('invalid_order', NO_GPUS);
  if (needs !== undefined) throw new PlatformError('invalid_order', NO_OFFERS);
  const bytes = Buffer.byteLength(queueMessage(spec));
  if (bytes <= MOST_MESSAGE_BYTES) return;
  throw new PlatformError(
    'too_large',
    `The order has ${bytes} bytes as a message of the queue, and ${MOST_MESSAGE_BYTES} are allowed: name fewer data sets.`,
  );
}

/** The failure of an order, which storage has checked, that a foreign worker cannot run; undefined where it can. */
export function obstacleOf(
  { gpus }: Pick<OrderRow, 'gpus'>,
  { canaries }: Pick<Pin['policy'], 'canaries'>,
): Failure | undefined {
  if (gpus > 0) return unfit(NO_GPUS);
  return canaries.length > 0 ? unfit(CANARIES) : undefined;
}

/** The failure of an order that the queue itself refuses, since it was set up to take less than usual. */
export function tooLarge(): Failure {
  return unfit('The queue takes no message as large as the order: name fewer data sets.');
}

function unfit(message: string): Failure {
  return failureOf('worker_unfit', { message, step: 'inputs' });
}

const NO_GPUS =
  'It asks for GPUs, or its problem does by default, and workers of the original have none to give: order it with gpus 0.';

const NO_JOBS = 'It is a job, and workers of the original know none: order it where our own workers run.';

const NO_OFFERS = 'It has needs, and workers of the original offer nothing: order it without.';

const CANARIES =
  'Its problem has canaries, and nobody could look for them in what a worker of the original stores and prints.';
