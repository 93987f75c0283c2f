import * as z from 'zod';
import { lastResult } from './best.ts';
import { type Genome, genome } from './genome.ts';
import type { SearchSpec, Trial } from './spec.ts';
import { generationsOf } from './strategies/dicebox.ts';

const member = z.object({ accuracy: z.number().default(0), genome });

/**
 * A population in the original's form: networks, each with its accuracy, and the average of these. A single network as the
 * original's `lonestar.json` has it reads as a population of one.
 */
export const population = z.preprocess(
  (read) => (isLonestar(read) ? { population: [{ genome: read }] } : read),
  z.object({ population: z.array(member).max(10_000), average_accuracy: z.number().optional() }),
);

function isLonestar(read: unknown): boolean {
  return typeof read === 'object' && read !== null && 'layers' in read;
}

/** A network and how accurate it was. */
export interface Member {
  readonly accuracy: number;
  readonly genome: Genome;
}

/** What the original writes for a generation: members, and their average accuracy. */
export function writePopulation(members: readonly Member[]): {
  population: Member[];
  average_accuracy: number;
} {
  const sum = members.reduce((total, { accuracy }) => total + accuracy, 0);
  return { population: [...members], average_accuracy: members.length === 0 ? 0 : sum / members.length };
}

/**
 * The networks of a search as populations: its generations under `dicebox`; of other strategies one, the trials that ended
 * with the best first. `parameter` names the network among the parameters. Failed trials have an accuracy of 0.
 */
export function populationsOf(spec: SearchSpec, trials: readonly Trial[], parameter: string): Member[][] {
  const own = trials.filter(({ arm }) => arm === 'main');
  const { strategy } = spec;
  const generations =
    strategy.name === 'dicebox'
      ? generationsOf(spec, strategy, own)
      : [own.filter(({ rungs }) => rungs.length > 0)];
  return generations.map((generation) =>
    generation
      .flatMap((trial) => memberOf(trial, parameter))
      .sort((one, other) => other.accuracy - one.accuracy),
  );
}

function memberOf(trial: Trial, parameter: string): Member[] {
  const read = genome.safeParse(trial.parameters[parameter]);
  return read.success ? [{ accuracy: lastResult(trial)?.value ?? 0, genome: read.data }] : [];
}
