import { randomUUID } from 'node:crypto';
import type { Api, OrchestratorContract } from '@morpheo/common';

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
