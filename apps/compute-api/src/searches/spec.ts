import { issueMessage, MOST_IN_SEARCH, PlatformError, type Search } from '@morpheo/common';
import { type SearchSpec, searchSpec } from '@morpheo/search';

/**
 * What of a search decides which trials it makes. Throws `invalid_request` where its space, its strategy or something
 * else of it is no good, or contradicts itself.
 */
export function specOf(search: Search): SearchSpec {
  const { space, strategy, seed, objective, budget, stop_at, rungs, control, previous, start } = search;
  const parsed = searchSpec.safeParse({
    ...{
      space,
      strategy,
      seed,
      objective: { goal: objective.goal },
      stop_at,
      rungs,
      control,
      previous,
      start,
    },
    // So that its orders fit into one group.
    budget: { ...budget, trials: budget.trials ?? MOST_IN_SEARCH.trials },
  });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = ['body', ...(issue?.path ?? [])].map(String).join('.');
  throw new PlatformError(
    'invalid_request',
    `${path}: ${issue === undefined ? 'is none' : issueMessage(issue)}`,
  );
}
