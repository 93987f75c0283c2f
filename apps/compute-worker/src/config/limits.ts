import type { OrderKind } from '@morpheo/common';
import type { TreeLimits } from '@morpheo/service/archive';
import type { RunLimits } from '../runtime/index.ts';

/** How checkpoints are kept. */
export interface CheckpointLimits {
  /** Of all files of one together; 0: none is kept. */
  readonly bytes: number;
  /** How often one is kept at the most, in milliseconds. */
  readonly everyMs: number;
}

/** The bounds of what orders may take. */
export interface WorkerLimits {
  /** How long one step's container may run, by kind of order, in milliseconds. */
  readonly wallMs: Readonly<Record<OrderKind, number>>;
  /** What else bounds one step's container; see {@link RunLimits}. */
  readonly run: Omit<RunLimits, 'wallMs'>;
  /** How checkpoints of jobs are kept. */
  readonly checkpoints: CheckpointLimits;
  /** How much of an attempt's log is kept, in bytes. */
  readonly logBytes: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** The limits where nothing else is said; 20 minutes is what the original worker allows. */
export const DEFAULT_LIMITS: WorkerLimits = {
  wallMs: { learn: 20 * 60_000, predict: 20 * 60_000, job: 24 * 3_600_000 },
  run: { outputBytes: 64 * MIB, diskBytes: 10 * GIB, diskFiles: 100_000, memoryBytes: 4 * GIB },
  checkpoints: { bytes: 2 * GIB, everyMs: 10_000 },
  logBytes: 4 * MIB,
};

/** The bounds of a tree that code wrote, or that an archive unpacks to: those of its disk. */
export function treeLimits({ run }: WorkerLimits): TreeLimits {
  return { bytes: run.diskBytes, files: run.diskFiles, depth: 64, pathBytes: 2048 };
}
