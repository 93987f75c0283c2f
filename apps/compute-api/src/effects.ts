import type { OrderKind, Performance } from '@morpheo/common';

/**
 * What a change of an order must cause in another system. It is written in the transaction of the change and carried
 * out by the relay, again and again until it has happened; so every effect can be repeated without harm.
 */
export type Effect =
  /** Storage: make the result that this attempt staged visible; the order is `done` when that has happened. */
  | { readonly do: 'publish_result'; readonly attempt: number }
  /** Storage: drop what the order's attempts staged. */
  | { readonly do: 'discard_results' }
  /** Orchestrator: a worker took the order. */
  | { readonly do: 'tell_taken'; readonly kind: OrderKind; readonly worker: string }
  /** Orchestrator: the order ended. */
  | { readonly do: 'tell_learn'; readonly body: LearnDone }
  | { readonly do: 'tell_predict'; readonly body: PredDone };

/** The body of `/learndone`: the performance file verbatim and the status. */
export type LearnDone = { status: 'failed' } | (Performance & { status: 'done' });

/** The body of `/preddone`. */
export type PredDone = { status: 'failed' } | { status: 'done'; prediction_storage_uuid: string };

/** The lane of an effect: effects of one lane of one order happen in their order. */
export function laneOf(effect: Effect): 'storage' | 'orchestrator' {
  return effect.do === 'publish_result' || effect.do === 'discard_results' ? 'storage' : 'orchestrator';
}
