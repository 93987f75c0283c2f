import { type Claim, isPlatformError, KIND_NAMES, OrderFailure, type OrderResult } from '@morpheo/common';
import { FailureWithResult, type Work } from '@morpheo/compute-worker';
import type { Random } from '@morpheo/real-parts';
import type { Faults } from './faults/faults.ts';
import type { ResultStorage } from './parts/storage.ts';
import { sleep } from './parts/virtual-time.ts';

const SCORES = { perf: 0.5, train_perf: { a: 0.6 }, test_perf: { b: 0.5 } };
const RETRY_MS = 1000;

/**
 * The work of a simulated worker: it takes a while, may break or fail, and stages a result on storage by its ticket. Of the
 * jobs that fail, every other one leaves something all the same.
 */
export function simulatedWork(
  openStorage: (ticket: () => string | undefined) => ResultStorage,
  faults: Faults,
  random: Random,
): Work {
  return async (claim, { events, signal, ticket }) => {
    events.note({ what: 'started', step: 'train' });
    await during(random.between(200, 40_000), signal);
    const fate = faults.work();
    if (fate === 'broken') throw new Error('The worker broke.');
    const failure = new OrderFailure('program_failed', { message: 'It exited with 1.', exit_code: 1 });
    if (fate === 'failed' && !(claim.spec.kind === 'job' && random.chance(0.5))) throw failure;
    await events.output('train', 'stdout', new TextEncoder().encode('trained\n'));
    const result = resultOf(claim);
    await stage(claim, result, openStorage(ticket), signal);
    if (fate === 'failed') throw new FailureWithResult(failure, result);
    return result;
  };
}

async function during(ms: number, signal: AbortSignal): Promise<void> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  signal.throwIfAborted();
  await Promise.race([sleep(ms), over]);
}

async function stage(
  { order, attempt, spec }: Claim,
  { uuid }: OrderResult,
  storage: ResultStorage,
  signal: AbortSignal,
): Promise<void> {
  const type = KIND_NAMES[spec.kind].result;
  const body = { body: (async function* () {})() };
  for (;;) {
    try {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(10_000)]);
      await storage.stageResult(
        { params: { order, attempt }, query: { type, uuid }, body },
        { signal: patience },
      );
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (isPlatformError(error) && !error.retry) throw error;
      await during(RETRY_MS, signal);
    }
  }
}

function resultOf({ spec }: Claim): OrderResult {
  const blob = { sha256: 'a'.repeat(64), size: 1 };
  if (spec.kind === 'predict') return { uuid: spec.uplet.prediction_storage_uuid, ...blob };
  if (spec.kind === 'job') return { uuid: spec.uplet.output ?? '', ...blob };
  return { uuid: spec.uplet.model_end, ...blob, performance: SCORES };
}
