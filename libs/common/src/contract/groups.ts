import * as z from 'zod';
import { GROUP_NAME, GROUP_NAME_RULE, MOST_OWNER_CHARACTERS } from '../bounds.ts';
import { failure } from '../failure.ts';
import { ORDER_STATUSES } from '../order.ts';
import { ANYONE_KNOWN, events, json } from './contract.ts';
import { pageOf, pageQuery, timestamp } from './service.ts';

/** The name of a group of orders. */
export const groupName = z.string().regex(GROUP_NAME, GROUP_NAME_RULE);

const counts = z.record(z.enum(ORDER_STATUSES), z.int());

/** How many orders of a group are in each state. */
export type GroupCounts = z.infer<typeof counts>;

const { reason } = failure.shape;

/** A group of orders as a list shows it. */
export const orderGroup = z.object({
  name: z.string(),
  owner: z.string(),
  /** When its first order was placed. */
  created_at: timestamp,
  /** How many orders it has now, and in which states. */
  orders: z.int(),
  counts,
  /**
   * What was asked last of all its orders at once, by whom, and whether that is still being carried out. After `cancel`
   * no more orders are placed in the group, until a `retry`.
   */
  asked: z
    .object({ what: z.enum(['cancel', 'retry']), by: z.string(), at: timestamp, under_way: z.boolean() })
    .optional(),
});

/** See {@link orderGroup}. */
export type OrderGroup = z.infer<typeof orderGroup>;

/** A group of orders with what came of them. */
export const orderGroupView = orderGroup.extend({
  /** When its latest order was placed; absent where it has none. */
  last_created_at: timestamp.optional(),
  /** When the last of its orders ended; absent while one has not. Rounded up to ten seconds but for admins. */
  ended_at: timestamp.optional(),
  /**
   * The best score of each problem workflow, and the order that has it; of equal ones the oldest. Scores are compared and
   * told as everybody may see them: over hidden data with the digits that the problem discloses. At most ten workflows,
   * those with the most scores first.
   */
  best: z.array(z.object({ workflow: z.string(), score: z.number(), order: z.string() })),
  /** How many of its orders failed for each reason. */
  failures: z.partialRecord(reason, z.int()),
});

/** See {@link orderGroupView}. */
export type OrderGroupView = z.infer<typeof orderGroupView>;

/** An order of a group whose state is news. */
export const groupedOrder = z.object({
  order: z.string(),
  status: z.enum(ORDER_STATUSES),
  /** As `best` of a group has it. */
  score: z.number().optional(),
  /** Why it failed, or was cancelled. */
  reason: reason.optional(),
});

/** See {@link groupedOrder}. */
export type GroupedOrder = z.infer<typeof groupedOrder>;

/** News of a group that is watched. */
export const groupEvent = z.object({
  counts,
  /** The orders whose state is new to the watcher, 500 at most. */
  orders: z.array(groupedOrder),
  /** True in the last event: all orders have ended, and nothing that was asked is being carried out. */
  ended: z.boolean(),
});

/** See {@link groupEvent}. */
export type GroupEvent = z.infer<typeof groupEvent>;

const ONE = {
  params: z.object({ name: groupName }),
  errors: ['invalid_request', 'not_found'],
} as const;
const owner = z.string().min(1).max(MOST_OWNER_CHARACTERS).optional();
/** Whose group it is: the caller's where absent. */
const ofOwner = z.object({ owner });
const NOT_THERE =
  'The group is that of the `owner`, or of the caller where that is absent. To whom may not see it, it is not there.';

/** compute-api: groups of orders. Their orders are listed by `group` of `/v1/orders`. */
export const groups = {
  listOrderGroups: {
    method: 'GET',
    path: '/v1/groups',
    summary: "The groups of an owner's orders, newest first, with how many orders are in each state",
    description:
      'Those of the caller where no `owner` is named; for admins alone those of others. A page ends early where its groups have very many orders.',
    access: ANYONE_KNOWN,
    query: z.object({ ...pageQuery, owner }),
    status: 200,
    response: json(pageOf(orderGroup)),
    errors: ['invalid_request'],
  },
  getOrderGroup: {
    method: 'GET',
    path: '/v1/groups/:name',
    summary: 'One group of orders: how many are in each state, the best scores, and why orders failed',
    description: NOT_THERE,
    access: ANYONE_KNOWN,
    ...ONE,
    query: ofOwner,
    status: 200,
    response: json(orderGroupView),
  },
  orderGroupEvents: {
    method: 'GET',
    path: '/v1/groups/:name/events',
    summary: 'The states of all orders of a group, then each change of one, until all have ended',
    description: `${NOT_THERE} Whenever it is opened it begins with the states as they are then; it has no history.`,
    access: ANYONE_KNOWN,
    ...ONE,
    query: ofOwner,
    status: 200,
    response: events(groupEvent),
  },
  cancelOrderGroup: {
    method: 'POST',
    path: '/v1/groups/:name/cancel',
    summary: 'End all orders of a group that have not ended, and take in no more; what runs is stopped',
    description: `${NOT_THERE} Of many orders some at a time are cancelled, after the answer: see \`asked\`. An order whose result is being published ends as done.`,
    access: ['orchestrator'],
    ...ONE,
    query: ofOwner,
    status: 202,
    response: json(orderGroupView),
  },
  retryOrderGroup: {
    method: 'POST',
    path: '/v1/groups/:name/retry',
    summary: 'Try those orders of a group again that failed, and take in orders again if it was cancelled',
    description: `${NOT_THERE} Of many orders some at a time are begun again, after the answer: see \`asked\`.`,
    access: ['orchestrator'],
    ...ONE,
    query: ofOwner,
    body: json(
      z.strictObject({
        /** Also those that were cancelled. */
        cancelled: z.boolean().optional(),
      }),
    ),
    status: 202,
    response: json(orderGroupView),
    errors: ['invalid_request', 'invalid_json', 'not_found'],
  },
} as const;
