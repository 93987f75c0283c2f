import { z } from 'zod';

const score = z.number();

/**
 * What the *perf* step writes as `performance.json`: the overall score, bigger is better, and the scores by data
 * UUID. Other members are kept as they are, for the orchestrator gets the file verbatim.
 */
export const performance = z.looseObject({
  perf: score,
  train_perf: z.record(z.string(), score),
  test_perf: z.record(z.string(), score),
});

/** See {@link performance}. */
export type Performance = z.infer<typeof performance>;
