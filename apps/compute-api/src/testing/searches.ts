import { randomUUID } from 'node:crypto';
import {
  type Api,
  type Claim,
  type ComputeContract,
  type Search,
  search,
  type TrialView,
} from '@morpheo/common';
import { resultOf, type TestWorker } from './test-worker.ts';

/** The members of a search that a test may leave out or say otherwise. */
type SearchInput = Partial<Record<keyof Search, unknown>>;

/** A search of jobs as somebody would post it, with a fresh id: two numbers, of which a score depends. */
export function aSearch(members: SearchInput = {}): Search {
  return search.parse({
    uuid: randomUUID(),
    space: { x: { kind: 'float', low: -1, high: 1 }, n: { kind: 'int', low: 1, high: 8 } },
    strategy: { name: 'aging-evolution', population: 4, sample: 2 },
    seed: 7,
    objective: { goal: 'maximize', score: 'score' },
    budget: { trials: 8 },
    parallel: 1,
    rungs: [1, 3],
    job: { algo: randomUUID() },
    parameters: { path: '/config/parameters.json' },
    resource: { member: 'epochs' },
    ...members,
  });
}

/** The parameters of a claimed job of {@link aSearch}; something usual for those that its search does not have. */
export function parametersOf({ spec }: Claim): { x: number; n: number; epochs: number } {
  const { inputs = [] } = spec.kind === 'job' ? spec.uplet : {};
  const [file] = inputs.flatMap(({ inline }) => inline ?? []);
  return { x: 0, n: 5, epochs: 1, ...JSON.parse(Buffer.from(file ?? '', 'base64').toString()) };
}

/** What such a job is worth. */
export function scoreOf({ x, n, epochs }: { x: number; n: number; epochs: number }): number {
  return -((x - 0.3) ** 2) - (n - 5) ** 2 / 100 - 1 / epochs;
}

/** Ends a claimed job of {@link aSearch} as its program would; some fail. */
export async function runTrial(worker: TestWorker, claim: Claim): Promise<void> {
  const parameters = parametersOf(claim);
  if (parameters.n === 8) await worker.fail(claim);
  else
    await worker.report(claim, {
      outcome: 'done',
      result: { ...resultOf(claim), scores: { score: scoreOf(parameters) } },
    });
}

/** All trials of a search, without the ids of their orders. */
export async function trialsOf(
  api: Pick<Api<ComputeContract>, 'listTrials'>,
  uuid: string,
): Promise<(Pick<TrialView, 'trial' | 'arm' | 'parameters'> & { rungs: unknown[] })[]> {
  const { items } = await api.listTrials({ params: { uuid }, query: { limit: 200 } });
  return items.map(({ rungs, ...trial }) => ({
    ...trial,
    rungs: rungs.map(({ resource, value, failed }) => ({ resource, value, failed: failed !== undefined })),
  }));
}
