import * as z from 'zod';
import { ORDER_KINDS } from '../order.ts';
import { json } from './contract.ts';

const amount = z.object({
  count: z.int(),
  /** Of the texts in rows, without what a database takes beside; of outputs as their workers reported them. */
  bytes: z.int(),
});

/** What goes of orders that have ended because of their age or number, or went; as far as one call came. */
export const removal = z.object({
  /** How many orders, by kind. */
  orders: z.record(z.enum(ORDER_KINDS), z.int()),
  /** The rows of these orders, their attempts and their histories. */
  history: amount,
  /** Logs, also of orders that stay. */
  logs: amount,
  /** Models and predictions on storage. */
  outputs: amount,
  /** How many orders that were removed before are forgotten: sent again, they would be run again. */
  ids: z.int(),
  /** How many groups that have no orders any more are forgotten. */
  groups: z.int(),
  /** `from` of the call that goes on; absent where this one came to the end. */
  next: z.string().optional(),
});

/** See {@link removal}. */
export type Removal = z.infer<typeof removal>;

const from = z
  .string()
  .regex(/^(?:orders|logs|ids)\.\d{1,15}\.[0-9a-f-]{0,36}$/, 'should be the `next` of an earlier answer')
  .optional();

const WHAT =
  'Orders, their histories, logs and outputs go as the settings of compute-api say; what something refers to stays. A ' +
  'call ends after some seconds; its `next` goes on.';

/** The routes by which operators see and hasten what is removed. */
export const retentionEndpoints = {
  planRemoval: {
    method: 'GET',
    path: '/v1/retention',
    summary: 'What would be removed now, and how many bytes that is; nothing is',
    description: WHAT,
    access: ['admin'],
    query: z.object({ from }),
    status: 200,
    response: json(removal),
    errors: ['invalid_request'],
  },
  removeOld: {
    method: 'POST',
    path: '/v1/retention',
    summary: 'Remove it now; by itself it is removed within minutes',
    description: WHAT,
    access: ['admin'],
    body: json(z.strictObject({ from })),
    status: 200,
    response: json(removal),
    errors: ['invalid_request', 'invalid_json'],
  },
} as const;
