import type { ExecutionContext } from 'ava';
import type { Place } from './conformance-schema.ts';

/** A database whose driver is to be tested. */
export interface DatabaseUnderTest {
  /** The driver's name, for the titles. */
  readonly name: string;
  /** Makes an empty place for one database. */
  readonly place: () => Promise<Place>;
  /** Whether several may have one database open at a time. */
  readonly shared: boolean;
  /** Makes an empty place on a disk that does as a test says; absent where the disk is not this process's to watch. */
  readonly slowDisk?: () => Promise<SlowDisk>;
  /** What registers the tests; ava's own where absent. */
  readonly test?: Register;
}

/** A place on a disk that takes what is committed when the test says so. */
export interface SlowDisk extends Place {
  /** How many times the disk was asked to take what was committed. */
  readonly asked: number;
  /** From now on the disk takes nothing until {@link SlowDisk.take} is called. Resolves when it is asked to. */
  hold(): Promise<void>;
  /** Takes what it was asked to, and from now on whatever it is asked to. */
  take(): void;
  /** Takes nothing of what it was asked to, with this reason. */
  fail(reason: Error): void;
}

/** What of ava's `test` the suite uses. */
export type Register = (title: string, run: (t: ExecutionContext) => Promise<void>) => void;
