import type { Failure, StepRecord } from '@morpheo/common';
import type { EventRow, OrderRow } from '../db/schema.ts';
import type { MadeResult } from '../orders/kinds.ts';
import { withCoarseScores } from './scores.ts';
import { isReader, policyOf, type Seen, seesAll, seesNoData, shownOf, type Viewer } from './shown.ts';

/** Times of what saw hidden data are told in steps of so many milliseconds: a program can sleep what it may not say. */
const COARSE_MS = 10_000;
const COARSE_BYTES = 16 * 1024 * 1024;

/** Does not tell what was found, nor where: each refusal would say more of it. */
const WITHHELD = 'The result is withheld: the owner of the problem can say more.';

/** To whom the message says what was found, and in what. */
const FOUND =
  'Correct the algorithm so that it keeps no targets, or the canaries of the problem; then order it again.';

/** A failure as a viewer may see it: what a step wrote or printed is in its message, its file and its last lines. */
export function failureFor(viewer: Viewer, order: Seen, failure: Failure): Failure {
  const { reason, step, exit_code, limit, peak } = failure;
  if (reason === 'withheld')
    return isReader(viewer, order) ? { ...failure, hint: FOUND } : { reason, message: WITHHELD };
  // What earlier workers found within a model: it may be as hidden as what a step writes.
  const saw = step === 'inputs' && reason === 'invalid_result' ? 'results' : step;
  const budget = shownOf(viewer, order, saw);
  const isPlain = isReader(viewer, order) || policyOf(order).canaries.length === 0;
  if (step === undefined || saw === undefined || seesNoData(order, saw) || (budget === 'all' && isPlain))
    return failure;
  // The lines in it are not looked through for canaries.
  const shown = budget === 'all' ? 'summary' : budget;
  const hasLog = budget === 'all' || typeof budget === 'object';
  const withheld = hasLog
    ? 'It saw data that you may not read: what the problem discloses of it is in the log.'
    : 'What it did and printed is not shown to you: it saw data that you may not read.';
  if (shown === 'nothing')
    return { reason, step, message: `The step ${step} failed (${reason}). ${withheld}` };
  const how =
    exit_code === undefined ? `failed (${reason})` : `ended with exit code ${exit_code} (${reason})`;
  return {
    ...{ reason, step, message: `The step ${step} ${how}. ${withheld}` },
    ...(exit_code === undefined ? {} : { exit_code }),
    ...(limit === undefined ? {} : { limit }),
    ...(peak === undefined ? {} : coarsePeak(peak)),
  };
}

const UNITS: readonly string[] = ['B', 'kB', 'MB', 'GB', 'TB'];

/** A peak as workers write it (`77.2 MB`), rounded up in MiB; left out where it is written otherwise. */
function coarsePeak(peak: string): Pick<Failure, 'peak'> {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ([kMGT]?B)$/.exec(peak) ?? [];
  const power = UNITS.indexOf(unit ?? '');
  if (number === undefined || power === -1) return {};
  return { peak: `${coarse(Number(number) * 1000 ** power, COARSE_BYTES) / 1024 ** 2} MiB` };
}

/** The record of a step as a viewer may see it; undefined where it is not told. */
export function stepFor(viewer: Viewer, order: Seen, kept: StepRecord): StepRecord | undefined {
  // An earlier version kept what a clock that was set back had made of it.
  const record = { ...kept, seconds: Math.max(0, kept.seconds) };
  const shown = shownOf(viewer, order, record.step);
  if (shown === 'all') return record;
  if (shown === 'nothing') return undefined;
  const { step, seconds, exit_code, peak_memory_bytes: peak } = record;
  return {
    step,
    seconds: coarse(seconds * 1000, COARSE_MS) / 1000,
    ...(exit_code === undefined ? {} : { exit_code }),
    ...(peak === undefined ? {} : { peak_memory_bytes: coarse(peak, COARSE_BYTES) }),
  };
}

/** What an entry of an order's history says, as a viewer may see it; undefined where the entry is not told. */
export function detailsFor(
  viewer: Viewer,
  order: Seen,
  { what, details: json }: Pick<EventRow, 'what' | 'details'>,
): Readonly<Record<string, unknown>> | undefined {
  // Written by ourselves.
  const details = JSON.parse(json) as Record<string, unknown> & { failure?: Failure; step?: string };
  if (what === 'step_ended') return stepFor(viewer, order, details as unknown as StepRecord);
  if (what === 'step_started' && shownOf(viewer, order, details.step) === 'nothing') return undefined;
  if (what === 'metrics' && shownOf(viewer, order, 'job') !== 'all') return undefined;
  const { failure } = details;
  return failure === undefined ? details : { ...details, failure: failureFor(viewer, order, failure) };
}

/** A result as a viewer may see it: digest and size of what was made are for who may see the order's data, or owns it. */
export function resultFor(
  viewer: Viewer,
  order: Seen & Pick<OrderRow, 'spec'>,
  result: MadeResult,
): MadeResult {
  if (seesAll(viewer, order)) return result;
  if (order.sample_of !== null) return { uuid: result.uuid };
  const { performance, ...made } = withCoarseScores(order, result);
  return {
    ...(viewer.name === order.owner && order.owner !== '' ? made : { uuid: made.uuid }),
    ...(performance === undefined ? {} : { performance }),
  };
}

/** When something happened to an order, as a viewer may know it, in milliseconds; up to its first attempt exactly. */
export function momentFor(viewer: Viewer, order: Seen, attempt: number, ms: number): number {
  return attempt === 0 || seesAll(viewer, order) ? ms : coarseMoment(ms);
}

/** A time in milliseconds as everybody may know it, whatever the order saw. */
export function coarseMoment(ms: number): number {
  return coarse(ms, COARSE_MS);
}

function coarse(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
