import * as z from 'zod';
import { MOST_OWNER_CHARACTERS } from '../bounds.ts';
import { sha256Hex } from '../digest.ts';
import { disclosure } from '../disclosure.ts';
import { ORDER_KINDS } from '../order.ts';
import { USES } from '../permissions.ts';
import { NIL_UUID, uuid } from '../uuid.ts';
import { json } from './contract.ts';
import { sample } from './permissions.ts';
import { RESOURCE_TYPES, resource } from './resources.ts';
import { produced } from './ticket.ts';

/** How many orders may be pinned in one call, and how many things they may name in all. */
export const MOST_PINNED = { orders: 100, uses: 50_000 } as const;

/** The longest body of a call that pins, in bytes. */
const MOST_PIN_BYTES = 8 * 1024 * 1024;

const pinUse = z.object({
  type: z.enum(RESOURCE_TYPES),
  uuid,
  as: z.enum(USES),
});

/** A thing that an order uses, and as what. */
export type PinUse = z.infer<typeof pinUse>;

const pinRequest = z.object({
  order: uuid,
  /**
   * 1 at first, one more with each retry on request. It tells a call that comes late, after the order has ended, from
   * the one of the order that was begun again.
   */
  round: z.int().min(1),
  /** Whose order it is: the rights of this person decide. */
  owner: z.string().min(1).max(MOST_OWNER_CHARACTERS),
  kind: z.enum(ORDER_KINDS),
  /** What it uses, which of a job may be nothing; of a prediction the algo need not be named, storage knows the model's. */
  uses: z.array(pinUse),
  /** The id that its result will have; nil: storage draws one. */
  produces: produced.extend({ uuid: z.union([uuid, z.literal(NIL_UUID)]) }),
  /**
   * False: that id must be free, and is not kept, since the worker uploads the result under it as a client of the
   * originals does. It is kept where absent.
   */
  keep_id: z.boolean().optional(),
  /** After so long it is released, as if it had ended, in seconds; when somebody says so where absent. */
  expires_seconds: z.int().min(1).max(86_400).optional(),
  /** True: it is refused unless all its data is in the public sample of its problem, since all of it is shown. */
  public_only: z.boolean().optional(),
});

/** See the body of `pinOrders`. */
export type PinRequest = z.infer<typeof pinRequest>;

const missingUse = z.object({
  type: z.enum(RESOURCE_TYPES),
  uuid: z.string(),
  /** What the order's owner lacks: the thing itself, the right to use it, or to use it as the order does. */
  need: z.string(),
  /** Who can give it; empty where nobody knows, or may be told. */
  owner: z.string(),
});

/** What an order lacks, and who can give it. */
export type MissingUse = z.infer<typeof missingUse>;

const pinAnswer = z.discriminatedUnion('outcome', [
  z.object({
    outcome: z.literal('pinned'),
    order: z.string(),
    /** SHA-256 of the list of what is pinned, and of the order and its round. */
    pin: sha256Hex,
    /** SHA-256 of the list of what is pinned alone: of other orders that use the same things the same. */
    inputs: sha256Hex.optional(),
    /** The id that is kept free for its result. */
    produces: produced,
    policy: z.object({
      /** Whose the problem is. */
      problem_owner: z.string(),
      /** True where the order names data that its owner may not read. */
      hidden: z.boolean(),
      /**
       * Who sees all that its steps do and print, by name, beside admins: its owner who may read all its data, and the
       * owner of the problem whom all its data trusts. `everybody`: where storage asks nobody for credentials.
       */
      readers: z.union([z.literal('everybody'), z.array(z.string())]),
      /** What reaches all others. */
      disclosure,
      /** Strings that no result or log may hold which others see; see `canaries`. */
      canaries: z.array(z.string()),
      /** Where its algorithm may be tried openly; absent where the problem has no such data. */
      sample: sample.optional(),
    }),
  }),
  z.object({
    outcome: z.literal('refused'),
    order: z.string(),
    /** `invalid_result`: the id of its result belongs to something else. */
    reason: z.enum(['forbidden', 'input_not_found', 'invalid_result']),
    message: z.string().max(4000),
    missing: z.array(missingUse),
  }),
  /** This round of the order was released, or a later one is pinned: nothing was changed, nothing is to be done. */
  z.object({ outcome: z.literal('stale'), order: z.string() }),
]);

/** See the response of `pinOrders`. */
export type PinAnswer = z.infer<typeof pinAnswer>;

const pinBody = z.object({
  orders: z
    .array(pinRequest)
    .min(1)
    .max(MOST_PINNED.orders)
    .refine(
      (orders) => orders.reduce((sum, { uses }) => sum + uses.length, 0) <= MOST_PINNED.uses,
      `should name ${MOST_PINNED.uses} things in all at the most`,
    )
    .refine(
      (orders) => new Set(orders.map(({ order }) => order)).size === orders.length,
      'should name each order once',
    ),
});

/** So many inputs of an attempt are described in one answer. */
export const MOST_DESCRIBED = 1000;

const pinnedInput = z.object({ type: z.enum(RESOURCE_TYPES), resource });

/** What an attempt is told of a thing that its order uses. */
export type PinnedInput = z.infer<typeof pinnedInput>;

/** The routes by which compute-api has the inputs of orders held, and by which an attempt is told of its own. */
export const pinEndpoints = {
  pinnedInputs: {
    method: 'GET',
    path: '/v1/inputs/:order/:attempt',
    summary: 'What the order of an attempt uses, as GET /:type/:uuid tells of each',
    description: `By the ticket of the attempt. Of an order that uses more, ${MOST_DESCRIBED} of it.`,
    access: ['attempt'],
    params: z.object({ order: uuid, attempt: z.coerce.number().int().min(1) }),
    status: 200,
    response: json(z.object({ inputs: z.array(pinnedInput).max(MOST_DESCRIBED) })),
    errors: ['invalid_request', 'stale_attempt'],
  },
  pinOrders: {
    method: 'POST',
    path: '/v1/pins',
    summary:
      'Hold what orders use, and keep the ids of their results free, until they are published or dropped',
    description:
      'For each order, by itself: the rights of its owner are checked, the bytes of all that it names are held against ' +
      'change, deletion and collection, and the id that it makes is reserved. One answer for each, in their order. ' +
      'Again for a pinned round: the same answer, whatever has changed since.',
    access: ['compute'],
    body: json(pinBody, MOST_PIN_BYTES),
    status: 200,
    response: json(z.object({ pins: z.array(pinAnswer) })),
    errors: ['invalid_request', 'invalid_json', 'too_large', 'unavailable', 'disk_full'],
  },
} as const;
