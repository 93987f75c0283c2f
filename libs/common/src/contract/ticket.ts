import * as z from 'zod';
import { sha256Hex } from '../digest.ts';
import { uuid } from '../uuid.ts';
import { RESULT_TYPES } from './resources.ts';

/** What an order makes, and the id that it will have. */
export const produced = z.object({ type: z.enum(RESULT_TYPES), uuid });

/** See {@link produced}. */
export type Produced = z.infer<typeof produced>;

/**
 * What a ticket says (a JWT, RFC 7519, signed by compute-api): the attempt that it was given to may read what its
 * order has pinned, and stage this one result.
 */
export const ticketClaims = z.object({
  order: uuid,
  attempt: z.int().min(1),
  /** See `PinAnswer`: a ticket of what was pinned before opens nothing. */
  pin: sha256Hex,
  produces: produced,
});

/** See {@link ticketClaims}. */
export type Ticket = z.infer<typeof ticketClaims>;
