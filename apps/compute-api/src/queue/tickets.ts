import type { Ticket } from '@morpheo/common';
import type { SignTicket } from '@morpheo/service/http';
import type { Pin } from '../orders/store.ts';
import type { HeldAttempt } from './lease.ts';

/** How long a ticket holds beyond its lease, in milliseconds: for calls that are under way at the end. */
const BEYOND_MS = 10_000;

/** What a held attempt gets from storage: absent where nobody signs, or storage holds nothing for the order. */
export async function ticketFor(
  { order, attempt, pin }: HeldAttempt,
  leaseMs: number,
  sign: SignTicket | undefined,
): Promise<{ readonly ticket?: string }> {
  if (sign === undefined || pin === null) return {};
  const expires = new Date(Date.now() + leaseMs + BEYOND_MS);
  return { ticket: await sign(ticketOf({ order, attempt }, pin), expires) };
}

function ticketOf(ref: Pick<Ticket, 'order' | 'attempt'>, { pin, produces }: Pin): Ticket {
  return { ...ref, pin, produces };
}
