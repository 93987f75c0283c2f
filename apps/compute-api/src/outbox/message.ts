import type { OrderSpec } from '@morpheo/common';

/**
 * The queue message of an order: the keys of the original's struct in its order, so that its worker could read it.
 * `uuid`: what the message calls the order, where that is not its id. Source: wire format, "Queue messages (NSQ)".
 */
export function queueMessage(spec: OrderSpec, uuid = spec.uplet.uuid): string {
  // No worker of the original reads it, and it may be long.
  if (spec.kind === 'job') return JSON.stringify({ uuid });
  return JSON.stringify({ Checkable: null, ...spec.uplet, uuid, status: 'todo' });
}
