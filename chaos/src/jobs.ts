import { randomUUID } from 'node:crypto';
import { type Job, job } from '@morpheo/common';
import type { Random } from '@morpheo/real-parts';

/** What jobs are made of. */
export interface JobGoods {
  /** The id of their algorithm. */
  readonly job: string;
  /** What they read, as everybody may. */
  readonly algos: readonly string[];
  /** The bytes of each of these. */
  readonly archive: Uint8Array;
}

/** A job that a customer has placed, and what has to come of it. */
export interface PlacedJob {
  readonly body: Job;
  /** With which code its program ends: with another than 0 the job fails, and leaves the same. */
  readonly exitCode: number;
  /** How many steps its program counts, a second each. */
  readonly steps: number;
  /** What it leaves beside its steps, by path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const FAILING_CODE = 3;
/** More than a worker needs until it stores the first checkpoint. */
const STEPS = 16;

/** Draws a job. In turns they count steps, fail, and are neither; `n` says whose turn it is. */
export function drawJob(random: Random, { job: algo, algos, archive }: JobGoods, n: number): PlacedJob {
  const seed = Buffer.from(random.uuid());
  const steps = n % 3 === 0 ? STEPS : 0;
  const exitCode = n % 3 === 1 ? FAILING_CODE : 0;
  const body = job.parse({
    ...{ uuid: randomUUID(), algo, command: ['/in/data', '/in/seed', String(steps), String(exitCode)] },
    inputs: [
      { path: '/in/data', resource: { type: 'algo', uuid: random.pick(algos) } },
      { path: '/in/seed', inline: seed.toString('base64') },
    ],
  });
  const files = new Map<string, Uint8Array>([
    ['data', archive],
    ['nested/seed', seed],
  ]);
  return { body, exitCode, steps, files };
}

/** Whether a job failed with the exit code with which its program ends. */
export function failedAsItsProgram(failure: string | null, { exitCode }: PlacedJob): boolean {
  const said = JSON.parse(failure ?? 'null') as { readonly exit_code?: number } | null;
  return exitCode !== 0 && said?.exit_code === exitCode;
}
