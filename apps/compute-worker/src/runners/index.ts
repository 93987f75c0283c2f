import type { RunnerProtocol } from '@morpheo/common';
import type {
  Mount,
  OutputChunk,
  PreparedImage,
  RunLimits,
  RunnerSpec,
  RunOptions,
  RunResult,
} from '../runtime/index.ts';
import type { OpenDoor } from './protocol.ts';

export type { RunnerProtocol } from '@morpheo/common';

/**
 * Warm runners: programs that are started once and answer one call after the other. A call has files of its own, which
 * the worker puts into a folder before and takes out of one after it. State is in memory alone: a runner does not
 * outlive its worker.
 */
export interface Runners extends AsyncDisposable {
  /** Whether there are any: false where the settings allow none, or the runtime cannot have them. */
  readonly possible: boolean;
  /** Why a runner with these limits can never be here, in a sentence; undefined where it can. */
  refusal(plan: RunnerNeeds): string | undefined;
  /**
   * Has a call answered by a runner of its plan, which is started where there is none; until one is free the call waits.
   *
   * Throws {@link CallFailed} where the program said so, {@link RunnerEnded} where the program ended in the middle or spoke
   * out of turn, {@link CallTimedOut} where a clock passed, {@link RunnerBroken} where no runner of the plan would start,
   * `rate_limited` where too many wait already, `invalid_order` where the plan needs more than the worker gives to runners,
   * `unavailable` where there are none; and what `prepare`, `fill`, `take`, `onOutput` and the signal say.
   */
  call<T>(call: RunnerCall<T>): Promise<CallResult<T>>;
  /** All of them as they are now, and the keys whose runners would not start. */
  list(): readonly RunnerView[];
  /** What another plan could have now, where what is idle makes room for it. */
  room(): RunnerRoom;
  /** Tries anew to start runners of a key that would not start; false where nothing is known of it. */
  retry(key: string): boolean;
  /** Calls `listener`, in a turn of its own, after any of what `list` and `room` say has changed. */
  onChange(listener: () => void): Disposable;
}

/** By what it is judged whether a runner can be somewhere. */
export interface RunnerNeeds {
  readonly limits: Pick<RunLimits, 'memoryBytes'>;
  readonly gpus: number;
}

/** What a runner is. */
export interface RunnerPlan {
  /** Plans of one key are interchangeable; see `runnerKey`. */
  readonly key: string;
  /** For people. */
  readonly shown: RunnerShown;
  readonly protocol: RunnerProtocol;
  /** `wallMs` bounds a call from when a runner has it; `outputBytes` what the runner prints; the others the runner. */
  readonly limits: RunLimits;
  /** How many GPUs it has. */
  readonly gpus: number;
  /**
   * Brings the image, and what the runner reads, which may be put into `folder`. Called once a start, and disposed of when
   * nothing of the runner is left. `OrderFailure` is the fault of who planned it.
   */
  readonly prepare: (folder: string, signal: AbortSignal) => Promise<PreparedRunner & Disposable>;
  /** Runners of one seat are one at a time, whatever their keys; absent: it has none. */
  readonly seat?: string | undefined;
  /** What runs it and speaks with it in place of the worker's runtime. */
  readonly program?: OwnProgram | undefined;
}

/** A program that runs in no container, by paths of the worker. */
export interface OwnProgram {
  readonly run: (spec: RunnerSpec, options: RunOptions) => Promise<RunResult>;
  readonly openDoor: OpenDoor;
}

/** What people are shown of a plan. */
export interface RunnerShown {
  /** Empty where nobody owns anything. */
  readonly owner: string;
  readonly image: string;
  readonly model?: string | undefined;
  /** What compute-api knows its plan by. */
  readonly callKey?: string | undefined;
}

/** What a runner is started with. */
export interface PreparedRunner {
  readonly image: PreparedImage;
  /** Absent: those that the image has. */
  readonly args?: readonly string[] | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Such as are read only. */
  readonly mounts: readonly Mount[];
}

/** One call. */
export interface RunnerCall<T> {
  readonly plan: RunnerPlan;
  /** No other call is in the runner meanwhile. */
  readonly alone?: boolean | undefined;
  /**
   * Puts the call's files into a folder that no program reaches yet. Copies, never links: the runner may write to them.
   * Called again, with another folder, where the runner was gone before it was given the call.
   */
  readonly fill: (inputs: string) => Promise<void>;
  /**
   * Reads what the call left, before it is removed. No program reaches the folder by its path, but one may still hold what
   * is in it: read it as `livingTree` does, following no link.
   */
  readonly take: (outputs: string) => Promise<T>;
  /** Gets what the runner prints while it has the call. */
  readonly onOutput?: ((chunk: OutputChunk) => Promise<void>) | undefined;
  /** Ends the call, with its reason: one that waits leaves the queue, of one under way the runner ends. */
  readonly signal: AbortSignal;
}

/** How a call went. */
export interface CallResult<T> {
  readonly value: T;
  /** How many calls the runner had answered before. */
  readonly reused: number;
  /** The runner's id. */
  readonly runner: string;
  /** How long it waited for room or a free runner, for the start of its runner, and for its answer, in milliseconds. */
  readonly ms: { readonly waited: number; readonly started: number; readonly ran: number };
}

/** A runner as it is now. */
export interface RunnerView {
  /** That of its plan. */
  readonly key: string;
  /** Empty for a key without a runner. */
  readonly id: string;
  readonly shown: RunnerShown;
  readonly protocol: RunnerProtocol;
  /** `broken`: no runner, since three starts in a row have failed. */
  readonly state: 'starting' | 'idle' | 'busy' | 'ending' | 'broken';
  /** Since its start began, in milliseconds. */
  readonly ageMs: number;
  /** How many calls it has answered. */
  readonly calls: number;
  /** How many it has now. */
  readonly underWay: number;
  /** How many more it takes now. */
  readonly free: number;
  /** How many wait for runners of its key. */
  readonly waiting: number;
  readonly memoryBytes: number;
  readonly gpus: number;
  /** Why the last start failed, where it did. */
  readonly problem?: string | undefined;
  /** The last lines that it has printed; absent for a key without a runner. */
  readonly tail?: (() => readonly string[]) | undefined;
}

/** What another runner could have, where those that are idle give up theirs. */
export interface RunnerRoom {
  readonly runners: number;
  readonly memoryBytes: number;
  readonly gpus: number;
  /** What one could have where there is no other, in bytes: none is ever larger. */
  readonly mostMemoryBytes: number;
}
