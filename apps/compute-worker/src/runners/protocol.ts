import type { Mount } from '../runtime/index.ts';
import type { ProtocolFault } from './errors.ts';

/**
 * How the worker and the program of one runner speak: a door speaks the program's language, and asks and tells the desk of
 * its runner. Whatever the language, it is the program that asks for calls.
 */
export interface Door extends AsyncDisposable {
  /** What the program finds the door by. */
  readonly environment: Readonly<Record<string, string>>;
  /** Such as are read only. */
  readonly mounts: readonly Mount[];
  /** Words that stand before those of the program: see `RunSpec`. */
  readonly before?: readonly string[] | undefined;
}

/** Opens the door of a runner, in a folder of its own that the program may read. */
export type OpenDoor = (options: DoorOptions) => Promise<Door>;

/** What a door is opened with. */
export interface DoorOptions {
  /** An empty folder. */
  readonly folder: string;
  readonly desk: RunnerDesk;
  /** Whether the program has paths of the worker in the place of its own: a runtime that isolates nothing has. */
  readonly hasHostPaths: boolean;
  /** What `uname -m` says where the program runs. Throws `unavailable` where that cannot be found out. */
  readonly machine: () => Promise<string>;
}

/** The runner's side of a door. */
export interface RunnerDesk {
  /**
   * The program asks for calls, up to so many; the first time it says that it is ready. Resolves with one at least, and with
   * none where the signal aborts before: then none is the program's. What is asked for anew before it came takes its place.
   * Throws `ProtocolFault` where a program asks on and on without waiting.
   */
  next(most: number, signal: AbortSignal): Promise<readonly OfferedCall[]>;
  /** The program has answered a call. Throws `ProtocolFault` where the call is not the program's now. */
  answer(id: string, answer: CallAnswer): void;
  /** The program has said what the protocol does not have, or what this desk threw: the runner ends. */
  fault(fault: ProtocolFault): void;
}

/** A call, as the program is told of it. */
export interface OfferedCall {
  readonly id: string;
  /** Folders, by the program's own paths. */
  readonly inputs: string;
  readonly outputs: string;
}

/** What a program says of a call. */
export type CallAnswer =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly message: string;
      readonly type?: string | undefined;
      readonly traceback?: string | undefined;
    };
