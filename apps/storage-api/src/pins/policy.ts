import {
  DEFAULT_DISCLOSURE,
  type Disclosed,
  type Disclosure,
  isAllowed,
  type PinAnswer,
  type PinRequest,
  type Sample,
  type SeeingStep,
} from '@morpheo/common';
import type { ResourceRow } from '../metadata/schema.ts';
import { keyOf } from '../permissions/grants.ts';
import { type Asker, isKnown, relationTo } from '../permissions/relations.ts';
import { problemsOf } from '../permissions/rights.ts';
import type { OrderRules, Standing } from './check.ts';
import { isPublic, sampleOf } from './samples.ts';
import type { PinRow } from './tables.ts';
import type { Things } from './things.ts';

/** What reaches whom of what the steps of an order do and print. */
export type Policy = Extract<PinAnswer, { outcome: 'pinned' }>['policy'];

/** What is known of the orders that are checked together. */
export interface Known {
  readonly rules: OrderRules;
  readonly standing: Standing;
  readonly things: Things;
}

/**
 * Who sees all of an order, and what reaches others. Who names a problem of his own over the data of others chooses
 * nothing for them, and sees no more of it than anybody.
 */
export function policyOf(request: PinRequest, { rules, standing, things }: Known): Policy {
  const rows = request.uses.flatMap((use) => things.get(keyOf(use)) ?? []);
  const named = request.uses.find(({ as }) => as === 'problem');
  const problem = named === undefined ? undefined : things.get(keyOf(named));
  const data = rows.filter(({ type }) => type === 'data');
  const problem_owner = problem?.owner ?? '';
  if (rules.outputsOpen)
    return { ...OPEN, problem_owner, canaries: problem === undefined ? [] : canariesOf(problem) };
  // A job of nobody known has read what is open to everybody alone.
  const isPublicJob = request.produces.type === 'output' && !isKnown(request.owner);
  if (isPublicJob || (problem !== undefined && data.every((row) => isPublic(row, problem))))
    return { ...OPEN, problem_owner, canaries: [] };
  const asker = standing.askers.get(request.owner);
  const hidden = asker === undefined || !data.every((row) => mayRead(row, asker, rules));
  const trusted = problem !== undefined && data.every((row) => trusts(row, problem, standing));
  const readers = [...(hidden ? [] : [request.owner]), ...(trusted ? [problem_owner] : [])].filter(isKnown);
  return {
    ...{ problem_owner, hidden, readers: [...new Set(readers)] },
    disclosure: disclosedOver(data, problem, standing),
    // Over the data of others they would tell whether a guess at its bytes is right.
    canaries: trusted ? canariesOf(problem) : [],
    ...(problem === undefined ? {} : triedOn(standing.samples.get(problem.uuid))),
  };
}

/** Nothing is hidden from anybody. */
const OPEN = { hidden: false, readers: 'everybody', disclosure: DEFAULT_DISCLOSURE } as const;

/**
 * What a problem discloses over these data sets: what its owner chose, where each was given to it by name. Else no more
 * than the default, for who owns several problems chose it for the data of this one.
 */
function disclosedOver(
  data: readonly ResourceRow[],
  problem: ResourceRow | undefined,
  standing: Standing,
): Disclosure {
  if (problem === undefined) return DEFAULT_DISCLOSURE;
  const chosen = disclosureOf(problem);
  if (data.every((row) => isFor(row, problem, standing))) return chosen;
  return {
    detarget: lesser('detarget', chosen),
    train: lesser('train', chosen),
    perf: lesser('perf', chosen),
    predict: lesser('predict', chosen),
    digits: Math.min(chosen.digits, DEFAULT_DISCLOSURE.digits),
  };
}

function lesser(step: SeeingStep, chosen: Disclosure): Disclosed {
  const [one, usual] = [chosen[step], DEFAULT_DISCLOSURE[step]];
  return one === 'nothing' || usual === 'nothing' ? 'nothing' : 'summary';
}

/** What an order was pinned with. */
export function keptPolicy({ problem_owner, hidden, readers, disclosure, canaries, sample }: PinRow): Policy {
  return {
    problem_owner,
    hidden: hidden === 1,
    // Written by ourselves.
    readers: JSON.parse(readers) as Policy['readers'],
    disclosure: disclosureOf({ disclosure }),
    canaries: canariesOf({ canaries }),
    ...triedOn(sampleOf({ sample })),
  };
}

/** The output budget that a problem has: what its owner chose, or the default. */
export function disclosureOf({ disclosure }: Pick<ResourceRow, 'disclosure'>): Disclosure {
  return disclosure === '' ? DEFAULT_DISCLOSURE : (JSON.parse(disclosure) as Disclosure);
}

/** The canaries that a problem, or an order of it, has. */
export function canariesOf({ canaries }: Pick<ResourceRow, 'canaries'>): string[] {
  return canaries === '' ? [] : (JSON.parse(canaries) as string[]);
}

/** Where an algorithm may be tried openly: a sample that an order can be placed on. */
function triedOn(sample: Sample | undefined): { sample?: Sample } {
  const isUsable = sample !== undefined && sample.train_data.length > 0 && sample.test_data.length > 0;
  return isUsable ? { sample } : {};
}

function mayRead(row: ResourceRow, asker: Asker, { rules }: OrderRules): boolean {
  return isAllowed(row.type, 'read', relationTo(row, false, asker, rules));
}

/** Whether the owner of a problem may know what becomes of a data set there. */
function trusts(data: ResourceRow, problem: ResourceRow, standing: Standing): boolean {
  return (isKnown(problem.owner) && data.owner === problem.owner) || isFor(data, problem, standing);
}

/** Whether the owner of a data set has given it to this problem by name. */
function isFor(data: ResourceRow, problem: ResourceRow, { grantees }: Standing): boolean {
  if (data.purpose === 'test' && problemsOf(data).includes(problem.uuid)) return true;
  return grantees.get(keyOf(data))?.has(`problem:${problem.uuid}`) === true;
}
