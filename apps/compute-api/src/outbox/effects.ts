import { isAlreadyApplied } from '@morpheo/client';
import {
  type Api,
  isPlatformError,
  KIND_NAMES,
  type OrchestratorContract,
  type OriginalKind,
  type Performance,
  PlatformError,
  type StorageContract,
} from '@morpheo/common';

import type { OrderRow } from '../db/schema.ts';
import { callBack, type Ending } from './callback.ts';

/**
 * What a change of an order must cause in another system, or in orders that wait for it. It is written in the transaction
 * of the change and carried out by the dispatcher, again and again until it has happened; so every effect can be repeated
 * without harm.
 */
export type Effect = StorageEffect | OrchestratorEffect | CallbackEffect | SettleWaiting;

/**
 * Settle more of the orders that wait for the model of this one, which has ended; `cause` is the order whose end began
 * that. It happens in the database, and has no call.
 */
export interface SettleWaiting {
  readonly do: 'settle_waiting';
  readonly cause: string;
}

type StorageEffect =
  /** Have storage check the order, and hold what it names; many orders are pinned in one call (see `pins.ts`). */
  | { readonly do: 'pin_order' }
  /**
   * Make the result that this attempt staged visible; when that has happened, the order is `done`, or has failed where that
   * is what it has left behind.
   */
  | { readonly do: 'publish_result'; readonly attempt: number; readonly failed?: true }
  /** Make sure that the result which its worker stored by itself is there; the order is `done` when it is. */
  | { readonly do: 'confirm_result'; readonly type: 'model' | 'prediction'; readonly uuid: string }
  /** Drop what the order's attempts staged, and what is held for this round of it; for any where absent. */
  | { readonly do: 'discard_results'; readonly round?: number }
  /** Remove what a run that failed, this attempt, has left behind, since the order is begun again. */
  | { readonly do: 'remove_result'; readonly attempt: number };

type OrchestratorEffect =
  /** A worker took the order. */
  | { readonly do: 'tell_taken'; readonly kind: OriginalKind; readonly worker: string }
  /** The order ended: the body of `/learndone`, the performance file verbatim and the status. */
  | { readonly do: 'tell_learn'; readonly body: { status: 'failed' } | (Performance & { status: 'done' }) }
  /** The order ended: the body of `/preddone`. */
  | {
      readonly do: 'tell_predict';
      readonly body: { status: 'failed' } | { status: 'done'; prediction_storage_uuid: string };
    };

/** A job ended that names a URL which is to be told. */
interface CallbackEffect {
  readonly do: 'tell_callback';
  readonly url: string;
  readonly ending: Ending;
}

/** Has storage check an order, and hold what it names. */
export const PIN_ORDER = { do: 'pin_order' } as const satisfies Effect;

/** An effect that has a call of its own. */
export type SingleEffect = Exclude<Effect, typeof PIN_ORDER | SettleWaiting>;

/**
 * What effects happen in, a system or the orders here: effects of one lane of one order happen in their order.
 */
export type Lane = 'storage' | 'orchestrator' | 'callback' | 'orders';

const LANES: Readonly<Record<Effect['do'], Lane>> = {
  pin_order: 'storage',
  publish_result: 'storage',
  confirm_result: 'storage',
  discard_results: 'storage',
  remove_result: 'storage',
  tell_taken: 'orchestrator',
  tell_learn: 'orchestrator',
  tell_predict: 'orchestrator',
  tell_callback: 'callback',
  settle_waiting: 'orders',
};

/** The lane of an effect. */
export function laneOf(effect: Effect): Lane {
  return LANES[effect.do];
}

function isOfStorage<E extends Effect>(effect: E): effect is Extract<E, StorageEffect> {
  return laneOf(effect) === 'storage';
}

/** An effect that is due. */
export interface DueEffect<E extends Effect = Effect> {
  readonly order: string;
  readonly n: number;
  readonly tries: number;
  readonly effect: E;
  /** The `traceparent` of its order, where somebody traces it. */
  readonly trace: string | null;
}

/**
 * Pins, of which many have one call; callbacks of jobs; or all other effects: none is held up by a system of the others that
 * does not answer.
 */
export type Called = 'pins' | 'callbacks' | 'others';

/** What sort of effects: {@link Called}, or those that happen here. */
export type Which = Called | 'orders';

/** The sort of an effect. */
export function sortOf(effect: Effect): Which {
  if (effect.do === PIN_ORDER.do) return 'pins';
  const lane = laneOf(effect);
  return lane === 'orders' ? lane : lane === 'callback' ? 'callbacks' : 'others';
}

/** What of an order storage is told when it checks it. */
export type PinnedRow = Pick<OrderRow, 'id' | 'kind' | 'round' | 'owner' | 'spec' | 'sample_of' | 'trace'>;

/** An effect that this process alone carries out for a while, and its order as it was when that was decided. */
export interface HeldEffect extends DueEffect {
  readonly row: PinnedRow;
}

/** The systems that effects happen in; the orchestrator is absent where nobody is told of orders. */
export interface Systems {
  readonly storage: Pick<
    Api<StorageContract>,
    'pinOrders' | 'publishResult' | 'discardResults' | 'removeResult' | 'get'
  >;
  readonly orchestrator: Pick<Api<OrchestratorContract>, 'setWorker' | 'learnDone' | 'predDone'> | undefined;
}

/**
 * Has an effect of an order happen. Resolves when nothing is left to do: with the error where the other side has refused
 * for good, which trying again would not change. Throws where trying again may help.
 */
export async function deliver(
  { order, effect, tries }: { readonly order: string; readonly effect: SingleEffect; readonly tries: number },
  { storage, orchestrator }: Systems,
  signal: AbortSignal,
): Promise<PlatformError | undefined> {
  if (effect.do === 'tell_callback') return await callBack(effect.url, effect.ending, tries + 1, signal);
  if (isOfStorage(effect)) return await deliverToStorage(order, effect, storage, signal);
  if (orchestrator === undefined) return undefined;
  try {
    await deliverToOrchestrator(order, effect, orchestrator, signal);
  } catch (error) {
    if (!isAlreadyApplied(error)) throw error;
  }
  return undefined;
}

async function deliverToStorage(
  order: string,
  effect: Extract<SingleEffect, StorageEffect>,
  storage: Systems['storage'],
  signal: AbortSignal,
): Promise<PlatformError | undefined> {
  if (effect.do === 'discard_results') {
    await storage.discardResults({ params: { order }, query: { round: effect.round } }, { signal });
    return undefined;
  }
  if (effect.do === 'remove_result') return await removeResult(order, effect.attempt, storage, signal);
  if (effect.do === 'confirm_result') return await confirmResult(effect, storage, signal);
  try {
    const query = effect.failed === true ? ({ outcome: 'failed' } as const) : {};
    await storage.publishResult({ params: { order, attempt: effect.attempt }, query }, { signal });
    return undefined;
  } catch (error) {
    if (isPlatformError(error, 'not_found', 'conflict', 'wrong_state')) return error;
    throw error;
  }
}

/** While another order that has not ended names it, it is tried again. */
async function removeResult(
  order: string,
  attempt: number,
  storage: Systems['storage'],
  signal: AbortSignal,
): Promise<undefined> {
  try {
    await storage.removeResult({ params: { order }, query: { attempt } }, { signal });
  } catch (error) {
    if (!isPlatformError(error, 'not_found')) throw error;
  }
}

async function confirmResult(
  { type, uuid }: Extract<StorageEffect, { do: 'confirm_result' }>,
  storage: Systems['storage'],
  signal: AbortSignal,
): Promise<PlatformError | undefined> {
  try {
    await storage.get({ params: { type, uuid } }, { signal });
    return undefined;
  } catch (cause) {
    if (!isPlatformError(cause, 'not_found')) throw cause;
    const message = `the worker reported that it had stored the ${type} ${uuid}, and there is none that others may see.`;
    return new PlatformError('conflict', message, { cause });
  }
}

async function deliverToOrchestrator(
  uuid: string,
  effect: OrchestratorEffect,
  orchestrator: NonNullable<Systems['orchestrator']>,
  signal: AbortSignal,
): Promise<void> {
  switch (effect.do) {
    case 'tell_taken': {
      const params = { type: KIND_NAMES[effect.kind].uplet, uuid };
      await orchestrator.setWorker({ params, body: { worker: effect.worker } }, { signal });
      return;
    }
    case 'tell_learn':
      await orchestrator.learnDone({ params: { uuid }, body: effect.body }, { signal });
      return;
    case 'tell_predict':
      await orchestrator.predDone({ params: { uuid }, body: effect.body }, { signal });
  }
}
