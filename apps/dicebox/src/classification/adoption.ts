import type { Network } from './artifact.ts';
import type { AdoptionRule } from './settings.ts';

/** A network that may be chosen. */
export interface Candidate extends Network {
  /** Grows from one that was found to the next. */
  readonly seq: number;
}

/**
 * Why a network may not replace the one in use, in one sentence; undefined where it may. One that somebody has asked for is
 * `wanted`: then only categories count that nobody has asked to change.
 */
export function refusal(
  network: Candidate,
  current: Candidate | undefined,
  rule: AdoptionRule & { readonly wanted?: boolean; readonly otherCategories?: boolean },
): string | undefined {
  if (current === undefined) return undefined;
  if (rule.otherCategories !== true && !sameCategories(network, current))
    return `its categories are ${listed(network)}, and those of the network in use ${listed(current)}; adopt it by POST /v1/networks with "other_categories": true if that is meant`;
  if (rule.wanted === true) return undefined;
  const isNewer = network.seq > current.seq;
  if (rule.adopt !== 'better')
    return isNewer ? undefined : `it is older than that of training ${current.training}`;
  // One that is as good is used where it is newer: of two such networks none replaces the other again and again.
  if (network.accuracy > current.accuracy) return undefined;
  if (isNewer && network.accuracy >= current.accuracy - rule.margin) return undefined;
  return `it is no better on held-out pictures: its accuracy is ${network.accuracy}, and that of the network in use, of training ${current.training}, ${current.accuracy}`;
}

/**
 * The candidate that is to be warmed next: the most accurate, or the newest, as the rule says; of those that are as good the
 * newest. Undefined where none is.
 */
export function choose(candidates: readonly Candidate[], { adopt }: AdoptionRule): Candidate | undefined {
  if (adopt === 'manual') return undefined;
  const newestFirst = candidates.toSorted((a, b) => b.seq - a.seq);
  return adopt === 'newest' ? newestFirst[0] : newestFirst.toSorted((a, b) => b.accuracy - a.accuracy)[0];
}

function sameCategories(one: Network, other: Network): boolean {
  return JSON.stringify(one.categories) === JSON.stringify(other.categories);
}

const MOST_SHOWN = 12;

function listed({ categories }: Network): string {
  const shown = categories.slice(0, MOST_SHOWN).join(', ');
  return categories.length > MOST_SHOWN ? `${shown} … (${categories.length})` : shown;
}
