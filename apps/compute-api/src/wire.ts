import { createHash } from 'node:crypto';
import type { OrderSpec } from '@morpheo/common';

/** The topics of the originals, by kind of order. */
export const TOPICS = { learn: 'train', predict: 'prediction' } as const;

/** The topic on which workers hear that an order was cancelled; its messages are order ids. Ours, not the originals'. */
export const CANCEL_TOPIC = 'cancel';

/**
 * The queue message of an order: the keys of the original's struct in its order, so that its worker could read it.
 * Source: wire format, "Queue messages (NSQ)".
 */
export function queueMessage(spec: OrderSpec): string {
  return JSON.stringify({ Checkable: null, ...spec.uplet, status: 'todo' });
}

/**
 * What makes an order the same order, as a SHA-256: its kind and everything that was posted but the bookkeeping of
 * its sender (status, worker, times), which may differ when the same order is sent again.
 */
export function identityOf(spec: OrderSpec): string {
  const {
    status: _status,
    worker: _worker,
    timestamp_request: _asked,
    timestamp_done: _done,
    ...what
  } = spec.uplet;
  const sorted = Object.fromEntries(Object.entries(what).sort(([a], [b]) => (a < b ? -1 : 1)));
  return createHash('sha256')
    .update(JSON.stringify([spec.kind, sorted]))
    .digest('hex');
}
