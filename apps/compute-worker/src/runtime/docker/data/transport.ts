import type { MountSettings } from 'dockerode';
import type { ReadMount } from '../../beside.ts';
import type { DiskUse } from '../../folders.ts';
import type { AnyRun } from '../../index.ts';

/**
 * How the files of a run come to its container and back: through folders that the daemon sees as well, or as archives
 * to and from a daemon that sees none of the worker's folders.
 */
export interface DataTransport {
  readonly kind: 'shared' | 'archive';
  /** Makes the data of a run ready. Whatever it makes in the daemon has `name` in its name, and the labels. */
  open(run: DataOfRun): Promise<RunData>;
  /** The data of a run that goes on, and began when there was so much in its writable mounts. */
  adopt(run: DataOfRun, before: DiskUse): Promise<RunData>;
}

/** The run that data is for. */
export interface DataOfRun {
  readonly spec: AnyRun;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** The data of one run. */
export interface RunData {
  /** What stood in its writable mounts when the run began; infinite where that cannot be told. */
  readonly before: DiskUse;
  /** What to mount into the container. */
  readonly mounts: readonly MountSettings[];
  /** See `LiveRun.read`. */
  readonly read: ReadMount;
  /** Whether the run has written more than it may, as far as can be told while it runs. */
  isBeyond(): Promise<boolean>;
  /** Brings back what was written, once nothing of the run is left; false where it is more than it may be. */
  collect(signal: AbortSignal): Promise<boolean>;
  /** Removes what was made in the daemon. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Whom the processes of containers belong to. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
}
