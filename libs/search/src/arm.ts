import { isBetter } from './best.ts';
import type { Arm, RungResult, Running, SearchSpec, Step, Trial } from './spec.ts';
import { proposerOf } from './strategies/index.ts';

/** How one arm of a search stands, and what it does next. */
export interface ArmState {
  readonly name: Arm;
  /** How much of the resource it has given out. */
  readonly spent: number;
  next(): Step;
}

/**
 * One arm of a search: its strategy proposes, and asynchronous successive halving (ASHA: Li et al. 2018, arXiv 1810.05934,
 * algorithm 2) decides who goes on. Whoever may go on does so before anything new is begun.
 */
export function armOf(
  spec: SearchSpec,
  name: Arm,
  trials: readonly Trial[],
  running: readonly Running[],
): ArmState {
  const own = trials.filter(({ arm }) => arm === name);
  const numbers = new Set(own.map(({ number }) => number));
  const busy = running.filter(({ trial }) => numbers.has(trial));
  const spent = spentBy(spec, own, busy);
  return { name, spent, next: () => nextOf(spec, name, own, busy, spent) };
}

function nextOf(
  spec: SearchSpec,
  arm: Arm,
  own: readonly Trial[],
  busy: readonly Running[],
  spent: number,
): Step {
  const isBusy = busy.length > 0;
  const orElse = (why: string): Step => (isBusy ? { kind: 'wait' } : { kind: 'done', why });
  const { budget } = spec;
  if (budget.seconds !== undefined && secondsOf(own) >= budget.seconds) {
    return orElse(`its trials have run for ${Math.round(secondsOf(own))} s of ${budget.seconds} s`);
  }
  const fits = (rung: number) =>
    budget.resource === undefined || spent + costOf(spec, rung) <= budget.resource;
  const lost = own.find(({ number, rungs }) => rungs.length === 0 && !isRunning(busy, number));
  if (lost !== undefined) return { kind: 'promote', trial: lost.number, resource: resourceOf(spec, 0) };
  const promoted = promotion(spec, own, busy, fits, false);
  if (promoted !== undefined) return promoted;
  const newcomer = newcomerOf(spec, arm, own, busy, fits);
  if (newcomer.kind !== 'done') return newcomer;
  // With nothing new to come, the best of the highest rung goes on all the same: somebody shall have run to the end.
  return (isBusy ? undefined : promotion(spec, own, busy, fits, true)) ?? orElse(newcomer.why);
}

function newcomerOf(
  spec: SearchSpec,
  arm: Arm,
  own: readonly Trial[],
  busy: readonly Running[],
  fits: (rung: number) => boolean,
): Step {
  const { trials, resource } = spec.budget;
  if (trials !== undefined && own.length >= trials) {
    return { kind: 'done', why: `all ${trials} trials were made` };
  }
  if (!fits(0)) return { kind: 'done', why: `the ${resource} of the resource are given out` };
  const proposed = proposerOf(spec, arm)(own, busy);
  return proposed.kind === 'try'
    ? { kind: 'new', arm, parameters: proposed.parameters, resource: resourceOf(spec, 0) }
    : proposed;
}

/** Who goes on to the next rung: looked for from the highest rung down. */
function promotion(
  spec: SearchSpec,
  own: readonly Trial[],
  busy: readonly Running[],
  fits: (rung: number) => boolean,
  isLast: boolean,
): Step | undefined {
  for (let rung = spec.rungs.length - 2; rung >= 0; rung -= 1) {
    const chosen = fits(rung + 1) ? chosenAt(spec, own, busy, rung, isLast) : undefined;
    if (chosen !== undefined) {
      return { kind: 'promote', trial: chosen.number, resource: resourceOf(spec, rung + 1) };
    }
  }
  return undefined;
}

function chosenAt(
  spec: SearchSpec,
  own: readonly Trial[],
  busy: readonly Running[],
  rung: number,
  isLast: boolean,
): Trial | undefined {
  const here = own.filter((trial) => resultAt(spec, trial, rung) !== undefined);
  const share = 'reduction' in spec.strategy ? spec.strategy.reduction : 2;
  const ranked = here
    .flatMap((trial) => {
      const value = resultAt(spec, trial, rung)?.value;
      return value === undefined ? [] : [{ trial, value }];
    })
    .sort((one, other) => byValue(spec, one.value, other.value) || one.trial.number - other.trial.number)
    .map(({ trial }) => trial);
  const isFree = (trial: Trial) =>
    resultAt(spec, trial, rung + 1) === undefined && !isRunning(busy, trial.number);
  const isAboveEmpty = own.every((trial) => resultAt(spec, trial, rung + 1)?.value === undefined);
  if (isLast && isAboveEmpty) return ranked.find(isFree);
  return ranked.slice(0, Math.floor(here.length / share)).find(isFree);
}

function byValue(spec: SearchSpec, one: number, other: number): number {
  return isBetter(spec, one, other) ? -1 : isBetter(spec, other, one) ? 1 : 0;
}

function resultAt(spec: SearchSpec, trial: Trial, rung: number): RungResult | undefined {
  return trial.rungs.find(({ resource }) => resource === spec.rungs[rung]);
}

function isRunning(busy: readonly Running[], number: number): boolean {
  return busy.some(({ trial }) => trial === number);
}

function resourceOf(spec: SearchSpec, rung: number): number {
  return spec.rungs[rung] ?? 0;
}

function spentBy(spec: SearchSpec, own: readonly Trial[], busy: readonly Running[]): number {
  const runs = [...own.flatMap(({ rungs }) => rungs), ...busy];
  return runs.reduce((sum, { resource }) => sum + costOf(spec, spec.rungs.indexOf(resource)), 0);
}

/** What a rung costs: all of it, or what is new in it where a trial goes on from what it left. */
function costOf(spec: SearchSpec, rung: number): number {
  const before = spec.previous === undefined || rung <= 0 ? 0 : resourceOf(spec, rung - 1);
  return resourceOf(spec, rung) - before;
}

function secondsOf(own: readonly Trial[]): number {
  return own.flatMap(({ rungs }) => rungs).reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
}
