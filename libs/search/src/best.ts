import type { Arm, RungResult, SearchSpec, Trial } from './spec.ts';

/** A trial's value at the highest rung that it has ended. */
export interface Best {
  readonly trial: number;
  readonly value: number;
  readonly resource: number;
}

/** True where `value` is strictly better than `other` for a search. */
export function isBetter(
  { objective }: Pick<SearchSpec, 'objective'>,
  value: number,
  other: number,
): boolean {
  return objective.goal === 'maximize' ? value > other : value < other;
}

/** True where `value` ends the search. */
export function isReached(spec: SearchSpec, value: number): boolean {
  return spec.stop_at !== undefined && !isBetter(spec, spec.stop_at, value);
}

/** How a trial stands: the result of the highest rung that it has ended, if any. */
export function lastResult({ rungs }: Pick<Trial, 'rungs'>): RungResult | undefined {
  return rungs.reduce<RungResult | undefined>(
    (last, rung) => (last === undefined || rung.resource > last.resource ? rung : last),
    undefined,
  );
}

/**
 * The best trial of an arm: by its value at the highest rung that it has ended, and of equal ones the oldest. Trials that
 * failed at their last rung are none.
 */
export function bestOf(
  spec: Pick<SearchSpec, 'objective'>,
  trials: readonly Trial[],
  arm: Arm,
): Best | undefined {
  let best: Best | undefined;
  for (const trial of trials) {
    const last = lastResult(trial);
    if (trial.arm !== arm || last?.value === undefined) continue;
    if (best !== undefined && !isBetter(spec, last.value, best.value)) continue;
    best = { trial: trial.number, value: last.value, resource: last.resource };
  }
  return best;
}
