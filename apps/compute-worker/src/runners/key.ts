import { createHash } from 'node:crypto';
import type { RunLimits } from '../runtime/index.ts';
import type { RunnerProtocol } from './index.ts';

/** All by which runners differ: nothing that belongs to a single call. */
export interface RunnerKeyParts {
  readonly protocol: RunnerProtocol;
  /** Empty where nobody owns anything. */
  readonly owner: string;
  /** The problem whose hidden data the runner comes to see, where it is of one. */
  readonly problem?: string | undefined;
  /** Of who gets to see what comes of its calls. */
  readonly audience?: string | undefined;
  /** The digest of the image or of the build context. */
  readonly image: string;
  /** The digests of what the runner reads, by the paths where it does. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly args?: readonly string[] | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly limits: RunLimits;
  readonly gpus: number;
}

/** The key of a runner: plans that differ in anything have another one. */
export function runnerKey(parts: RunnerKeyParts): string {
  const { protocol, owner, problem, audience, image, inputs, args, environment, limits, gpus } = parts;
  const all = [
    [protocol, owner, problem ?? null, audience ?? null, image, gpus, args ?? null],
    sorted(inputs),
    sorted(environment ?? {}),
    sorted({ ...limits }),
  ];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}

function sorted(record: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(record)
    .filter(([, value]) => value !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}
