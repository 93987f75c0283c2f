import {
  type Api,
  KIND_NAMES,
  type PinRequest,
  PlatformError,
  type ResourceType,
  type StorageContract,
  type UsedAs,
} from '@morpheo/common';
import type { StorageParts } from '../parts.ts';
import { ownTicket, pinnedInputs } from './attempt.ts';
import { pinOrders } from './pin.ts';

/** The routes by which compute-api has the inputs of orders held, and by which an attempt is told of its own. */
export function pinHandlers(parts: StorageParts): Pick<Api<StorageContract>, 'pinOrders' | 'pinnedInputs'> {
  const { database, people, settings, outputsOpen, log } = parts;
  return {
    pinnedInputs: async ({ params }, call) => {
      const ticket = ownTicket(call?.principal, params, 'inputs');
      return { inputs: await pinnedInputs(database.read, ticket) };
    },
    pinOrders: async ({ body: { orders } }) => {
      for (const order of orders) refuseMisfit(order);
      const answers = await pinOrders(database, { people, rules: settings, outputsOpen }, orders);
      for (const answer of answers)
        if (answer.outcome === 'refused')
          log.info({ order: answer.order, reason: answer.reason }, 'An order was not pinned');
      return { pins: answers };
    },
  };
}

/** Of what type is what an order uses as this; an input may be of any. */
const TYPES = {
  problem: 'problem',
  algo: 'algo',
  model: 'model',
  train: 'data',
  test: 'data',
  predict: 'data',
} as const satisfies Record<Exclude<UsedAs, 'input'>, ResourceType>;

/** Throws `invalid_request` where what an order uses and makes does not go together. */
function refuseMisfit({ order, kind, uses, produces }: PinRequest): void {
  const wrong = uses.find(({ as, type }) => as !== 'input' && TYPES[as] !== type);
  if (wrong !== undefined)
    throw new PlatformError(
      'invalid_request',
      `The order ${order} names ${wrong.type} ${wrong.uuid} as ${wrong.as}.`,
    );
  if (produces.type !== KIND_NAMES[kind].result)
    throw new PlatformError(
      'invalid_request',
      `The order ${order} makes a ${KIND_NAMES[kind].result}, not a ${produces.type}.`,
    );
}
