import type { Log } from '@morpheo/service/log';
import type { GpuAllocator } from '../gpus/allocator.ts';
import type { ContainerRuntime } from '../runtime/index.ts';
import type { CallResult, RunnerProtocol } from './index.ts';
import type { OpenDoor } from './protocol.ts';

/** What bounds the runners of a worker. */
export interface RunnerLimits {
  /** How many there are at a time; 0: none. */
  readonly most: number;
  /** What all of them may have of memory, by their limits, in bytes. */
  readonly memoryBytes: number;
  /** How long one is kept that has no call, in milliseconds. */
  readonly idleMs: number;
  /** How long a call waits for room or a free runner, and for the start of its runner, in milliseconds. */
  readonly waitMs: number;
  readonly startMs: number;
  /** How many calls of a key wait at a time. */
  readonly queue: number;
  /** After so many calls, and so many milliseconds, a runner ends. */
  readonly calls: number;
  readonly ageMs: number;
  /** A runner that others wait for the room of keeps it for so long, in milliseconds; 30,000 where absent. */
  readonly turnMs?: number | undefined;
}

/** The parts of the {@link Runners} of a worker. */
export interface RunnersOptions {
  readonly runtime: ContainerRuntime;
  readonly gpus: GpuAllocator;
  /** A folder of theirs alone: what an earlier process left in it is removed. */
  readonly folder: string;
  readonly limits?: RunnerLimits | undefined;
  /** How runners are spoken to, beside our own contract. */
  readonly doors?: Readonly<Partial<Record<RunnerProtocol, OpenDoor>>> | undefined;
  /** Where calls are counted; nowhere where absent. */
  readonly meters?: RunnerMeters | undefined;
  readonly log: Log;
}

/** How a call ended: with an answer, or as the error says that it threw. */
export type CallOutcome =
  | 'answered'
  | 'failed'
  | 'ended'
  | 'timed_out'
  | 'cancelled'
  | 'broken'
  | 'refused'
  | 'error';

/** What counts calls. */
export interface RunnerMeters {
  /** A call has ended; `ms` tells how long one took that was answered. */
  callEnded(outcome: CallOutcome, ms?: CallResult<unknown>['ms']): void;
}

const MINUTE = 60_000;

/** The bounds where nothing else is said. */
export const DEFAULT_RUNNER_LIMITS: RunnerLimits = {
  most: 4,
  memoryBytes: 16 * 1024 ** 3,
  idleMs: 10 * MINUTE,
  waitMs: 15 * MINUTE,
  startMs: 10 * MINUTE,
  queue: 100,
  calls: 1000,
  ageMs: 60 * MINUTE,
};
