import { isAlreadyApplied } from '@morpheo/client';
import {
  type Api,
  isPlatformError,
  type OrchestratorContract,
  type PlatformError,
  type StorageContract,
} from '@morpheo/common';
import type { DueEffect } from './outbox-store.ts';

/** The systems that effects happen in; no orchestrator: there is nobody to tell. */
export interface Systems {
  readonly storage: Pick<Api<StorageContract>, 'publishResult' | 'discardResults'>;
  readonly orchestrator: Pick<Api<OrchestratorContract>, 'setWorker' | 'learnDone' | 'predDone'> | undefined;
}

/**
 * Has an effect happen. Resolves when nothing is left to do: with the error where the other side has refused for
 * good, which trying again would not change. Throws where trying again may help.
 */
export async function carryOut(
  due: DueEffect,
  systems: Systems,
  signal: AbortSignal,
): Promise<PlatformError | undefined> {
  const { effect, order } = due;
  switch (effect.do) {
    case 'publish_result':
      return await refusalOf(
        systems.storage.publishResult({ params: { order, attempt: effect.attempt } }, { signal }),
      );
    case 'discard_results':
      await systems.storage.discardResults({ params: { order } }, { signal });
      return undefined;
    default:
      return await tell(due, systems, signal);
  }
}

async function tell(
  due: DueEffect,
  { orchestrator }: Systems,
  signal: AbortSignal,
): Promise<PlatformError | undefined> {
  const { effect, order: uuid } = due;
  if (orchestrator === undefined) return undefined;
  try {
    if (effect.do === 'tell_taken') {
      const type = effect.kind === 'learn' ? 'learnuplet' : 'preduplet';
      await orchestrator.setWorker({ params: { type, uuid }, body: { worker: effect.worker } }, { signal });
    } else if (effect.do === 'tell_learn') {
      await orchestrator.learnDone({ params: { uuid }, body: effect.body }, { signal });
    } else if (effect.do === 'tell_predict') {
      await orchestrator.predDone({ params: { uuid }, body: effect.body }, { signal });
    }
    return undefined;
  } catch (error) {
    if (isAlreadyApplied(error)) return undefined;
    throw error;
  }
}

async function refusalOf(call: Promise<unknown>): Promise<PlatformError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (isPlatformError(error, 'not_found', 'conflict')) return error;
    throw error;
  }
}
