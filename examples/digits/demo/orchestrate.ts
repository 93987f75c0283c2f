import { randomUUID } from 'node:crypto';
import {
  type Api,
  type ComputeContract,
  isPlatformError,
  type OrchestratorContract,
  retry,
} from '@morpheo/common';

/** What was uploaded, by its ids on storage; algorithms with their names. */
export interface Uploaded {
  readonly workflow: string;
  readonly algos: ReadonlyMap<string, string>;
  readonly training: readonly string[];
  readonly tests: readonly string[];
}

/** Makes a problem, its data and its algorithms known to the orchestrator, which starts to have them trained. */
export async function makeKnown(
  orchestrator: Api<OrchestratorContract>,
  uploaded: Uploaded,
): Promise<string> {
  const problem = randomUUID();
  const { workflow, tests, training, algos } = uploaded;
  await orchestrator.postProblem({
    body: { uuid: problem, workflow, test_dataset: [...tests], size_train_dataset: 1 },
  });
  await orchestrator.postData({ body: { uuid: [...training], problems: [problem] } });
  for (const [uuid, name] of algos) await orchestrator.postAlgo({ body: { uuid, name, problem } });
  return problem;
}

/** Asks for a prediction with the best model of a problem; returns the order once compute-api has it. */
export async function orderPrediction(
  { orchestrator, compute }: { orchestrator: Api<OrchestratorContract>; compute: Api<ComputeContract> },
  body: { readonly data: string; readonly problem: string },
  signal: AbortSignal,
): Promise<string> {
  const id = String((await orchestrator.postPrediction({ body })).uuid);
  // The orchestrator answers first and posts the order then.
  await retry(() => compute.getOrder({ params: { id } }, { signal }), {
    ...{ firstMs: 50, mostMs: 50, jitter: 0, signal },
    retryIf: (error) => isPlatformError(error, 'not_found'),
  });
  return id;
}
