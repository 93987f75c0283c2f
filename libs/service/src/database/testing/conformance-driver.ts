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
  /** What registers the tests; ava's own where absent. */
  readonly test?: Register;
}

/** What of ava's `test` the suite uses. */
export type Register = (title: string, run: (t: ExecutionContext) => Promise<void>) => void;
