import { canonicalJson } from '../canonical.ts';
import type { Random } from '../random.ts';
import type { Parameters } from '../space/space.ts';
import type { Running, SearchSpec, Trial } from '../spec.ts';

/** What a strategy says when it is asked for one more trial. */
export type Proposal =
  | { readonly kind: 'try'; readonly parameters: Parameters }
  /** Not before a running trial has ended. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'done'; readonly why: string };

/**
 * Proposes the next trial of an arm, from the trials that the arm has, in the order of their numbers, and from those of them
 * that run. It never proposes parameters that one of them has.
 */
export type Proposer = (own: readonly Trial[], busy: readonly Running[]) => Proposal;

/** A search asks for the keys of all its trials at each step: parameters are never changed, so they keep theirs. */
const keys = new WeakMap<Parameters, string>();

/** What parameters are the same as which: equal ones are one trial. */
export function keyOf(parameters: Parameters): string {
  const known = keys.get(parameters);
  if (known !== undefined) return known;
  const key = canonicalJson(parameters);
  keys.set(parameters, key);
  return key;
}

/** The parameters that an arm has tried, by their keys. */
export function keysOf(own: readonly Trial[]): ReadonlySet<string> {
  return new Set(own.map(({ parameters }) => keyOf(parameters)));
}

/** The next of the parameters that a search was told to begin with, which no trial has yet. */
export function firstOf({ start }: SearchSpec, seen: ReadonlySet<string>): Parameters | undefined {
  return start.find((parameters) => !seen.has(keyOf(parameters)));
}

/** How often a strategy draws before it says that there is nothing new. */
const DRAWS = 500;

/** The first of several draws whose parameters no trial has yet. Each way to draw has its turn, when those before found nothing. */
export function firstNew(
  seen: ReadonlySet<string>,
  randomOfDraw: (draw: number) => Random,
  ...ways: readonly ((random: Random) => Parameters)[]
): Proposal {
  for (const [turn, draw] of ways.entries()) {
    for (let attempt = 0; attempt < DRAWS; attempt += 1) {
      const parameters = draw(randomOfDraw(turn * DRAWS + attempt));
      if (!seen.has(keyOf(parameters))) return { kind: 'try', parameters };
    }
  }
  return { kind: 'done', why: `all was tried: ${DRAWS} more draws found nothing new` };
}
