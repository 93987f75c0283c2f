import type { OrderEvent } from '@morpheo/common';
import type { EventRow } from '../db/schema.ts';
import { isHeld, type Seen, type Viewer } from './shown.ts';

/** Whatever of these an entry is, no more happens in its attempt. */
const OVER: readonly OrderEvent['what'][] = [
  'released',
  'lost',
  'error',
  'publishing',
  'done',
  'failed',
  'cancelled',
  'retried',
];

/** Entries of an order's history, oldest first, and the order as it is known then. */
export interface ReadEntry {
  readonly entry: EventRow;
  readonly order: Seen;
}

/**
 * Passes on entries of a history in their order, but from the first step of an attempt on that a viewer does not see all of,
 * only when the attempt is over.
 */
export async function* withHeldBack<T extends ReadEntry>(
  entries: AsyncIterable<T>,
  viewer: Viewer,
): AsyncGenerator<T> {
  let held: T[] = [];
  for await (const one of entries) {
    const { entry, order } = one;
    if (OVER.includes(entry.what) || entry.attempt !== held[0]?.entry.attempt) {
      yield* held;
      held = [];
    }
    if (held.length > 0 || isHeld(viewer, order, stepOf(entry))) held.push(one);
    else yield one;
  }
}

function stepOf({ what, details }: EventRow): string | undefined {
  if (what !== 'step_started' && what !== 'step_ended') return undefined;
  // Written by ourselves.
  return (JSON.parse(details) as { step?: string }).step;
}
