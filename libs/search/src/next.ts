import { armOf } from './arm.ts';
import { bestOf, isReached } from './best.ts';
import type { Arm, Running, SearchSpec, Step, Trial } from './spec.ts';

/** Before a search says that nothing of its space runs, it has tried so many. */
const TRIALS_WITHOUT_VALUE = 50;

/**
 * What a search does next, at most `room` trials that begin or go on; or that it waits, or is done. `done` while trials
 * run means that nobody needs them any more.
 *
 * It depends on its arguments alone: the same seed and the same results give the same steps, whatever was stopped and
 * asked again meanwhile. A trial without a result that is not `running` was lost, and is started again. Trials stand in
 * the order of their numbers, and a step `new` gets the number behind the last.
 */
export function nextSteps(
  spec: SearchSpec,
  trials: readonly Trial[],
  running: readonly Running[],
  room: number,
): readonly Step[] {
  const ended = endOf(spec, trials);
  if (ended !== undefined) return [{ kind: 'done', why: ended }];
  const known = [...trials];
  const busy = [...running];
  const steps: Step[] = [];
  while (steps.length < room) {
    const step = firstStep(spec, known, busy);
    if (step.kind === 'done' || step.kind === 'wait') return steps.length > 0 ? steps : [step];
    steps.push(step);
    if (step.kind === 'new') {
      busy.push({ trial: known.length, resource: step.resource });
      known.push({ number: known.length, parameters: step.parameters, arm: step.arm, rungs: [] });
    } else {
      busy.push({ trial: step.trial, resource: step.resource });
    }
  }
  if (steps.length > 0) return steps;
  const step = firstStep(spec, known, busy);
  return step.kind === 'done' ? [step] : [{ kind: 'wait' }];
}

/** The next step of the arm that has used least of its budget, or of the other where that one has none. */
function firstStep(spec: SearchSpec, trials: readonly Trial[], running: readonly Running[]): Step {
  const names: readonly Arm[] = spec.control ? ['main', 'control'] : ['main'];
  const arms = names
    .map((name) => armOf(spec, name, trials, running))
    .sort((one, other) => one.spent - other.spent);
  const steps = arms.map((arm) => ({ arm, step: arm.next() }));
  const moving = steps.find(({ step }) => step.kind === 'new' || step.kind === 'promote');
  const waiting = steps.find(({ step }) => step.kind === 'wait');
  // Of two arms that are done, the strategy's own reason is the search's.
  const main = steps.find(({ arm }) => arm.name === 'main');
  return moving?.step ?? waiting?.step ?? main?.step ?? { kind: 'wait' };
}

function endOf(spec: SearchSpec, trials: readonly Trial[]): string | undefined {
  const best = bestOf(spec, trials, 'main');
  if (best !== undefined && isReached(spec, best.value)) {
    return `trial ${best.trial} has ${best.value}, and ${spec.stop_at} was to be reached`;
  }
  const ended = trials.filter(({ arm, rungs }) => arm === 'main' && rungs.length > 0);
  if (best === undefined && ended.length >= TRIALS_WITHOUT_VALUE) {
    return `none of ${ended.length} trials has a value: each has failed`;
  }
  return undefined;
}
