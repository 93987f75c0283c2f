import { type Json, json } from '../canonical.ts';
import { nextSteps } from '../next.ts';
import { randomOf } from '../random.ts';
import type { Parameters } from '../space/space.ts';
import type { RungResult, Running, SearchSpec, Step, Trial } from '../spec.ts';

/** What a run of a trial says: its value, or why it has none. */
export type Objective = (
  parameters: Parameters,
  resource: number,
  number: number,
) => number | { failed: string };

/** How a search is played: how many run at once, and in which order those that run end. */
export interface Play {
  readonly parallel?: number;
  /** Chooses who ends next; which numbers it draws makes the order. */
  readonly order?: string;
  /** Ends after so many steps, as a service that is stopped. */
  readonly steps?: number;
}

/** A search as far as it was played. */
export interface Played {
  readonly trials: readonly Trial[];
  readonly running: readonly Running[];
  readonly steps: readonly Step[];
  readonly end: string | undefined;
}

/** Plays a search from its beginning, or from where another play of it has stopped. */
export function play(
  spec: SearchSpec,
  objective: Objective,
  { parallel = 1, order = 'first', steps: most = Number.POSITIVE_INFINITY }: Play = {},
  from: Played = { trials: [], running: [], steps: [], end: undefined },
): Played {
  const trials = [...from.trials];
  const running = [...from.running];
  const steps = [...from.steps];
  const random = randomOf(order);
  while (steps.length < most) {
    for (const step of nextSteps(spec, trials, running, parallel - running.length)) {
      steps.push(step);
      if (step.kind === 'done') return { trials, running, steps, end: step.why };
      if (step.kind === 'promote') running.push({ trial: step.trial, resource: step.resource });
      if (step.kind !== 'new') continue;
      running.push({ trial: trials.length, resource: step.resource });
      trials.push({ number: trials.length, parameters: asStored(step.parameters), arm: step.arm, rungs: [] });
    }
    const [ended] = running.splice(random.below(running.length), 1);
    const trial = ended === undefined ? undefined : trials[ended.trial];
    if (ended === undefined || trial === undefined) throw new Error('the search waits for nothing');
    const value = objective(trial.parameters, ended.resource, trial.number);
    const result: RungResult = {
      resource: ended.resource,
      seconds: ended.resource,
      ...(typeof value === 'number' ? { value } : value),
    };
    trials[ended.trial] = { ...trial, rungs: [...trial.rungs, result] };
  }
  return { trials, running, steps, end: undefined };
}

/** Parameters as they come back from a database. */
function asStored(parameters: Parameters): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [
      name,
      json.parse(JSON.parse(JSON.stringify(value))) as Json,
    ]),
  );
}
