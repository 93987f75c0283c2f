import type { RunResult } from '../runtime/index.ts';

/** The clocks of a call: for room or a free runner, for the start of its runner, for its answer. */
export type CallPhase = 'waiting' | 'starting' | 'running';

/** The last lines of what a runner printed, as `LogTail` has them. */
type Tail = readonly string[];

/** The program has answered that the call failed. */
export class CallFailed extends Error {
  override name = 'CallFailed';
  /** The class of the error, as the program has it. */
  readonly type: string | undefined;
  readonly traceback: string | undefined;
  readonly tail: Tail;

  constructor(
    message: string,
    about: {
      readonly type?: string | undefined;
      readonly traceback?: string | undefined;
      readonly tail: Tail;
    },
  ) {
    super(message);
    this.type = about.type;
    this.traceback = about.traceback;
    this.tail = about.tail;
  }
}

/** A runner has said what the contract does not have, or what is not its to say: it is ended. */
export class ProtocolFault extends Error {
  override name = 'ProtocolFault';
  /** Whether what it said would have been right of another call. */
  readonly isConflict: boolean;

  constructor(message: string, { isConflict = false }: { readonly isConflict?: boolean } = {}) {
    super(message);
    this.isConflict = isConflict;
  }
}

/** A runner ended, or was ended for what it said, before it had answered the call. */
export class RunnerEnded extends Error {
  override name = 'RunnerEnded';
  /** How its program ended, or what it said. */
  readonly why: RunResult | ProtocolFault;
  readonly phase: Exclude<CallPhase, 'waiting'>;
  /** Whether no other call was in it: then it was this call's doing. */
  readonly alone: boolean;
  readonly tail: Tail;

  constructor(message: string, about: Pick<RunnerEnded, 'why' | 'phase' | 'alone' | 'tail'>) {
    super(message);
    this.why = about.why;
    this.phase = about.phase;
    this.alone = about.alone;
    this.tail = about.tail;
  }
}

/** A clock of a call has passed. */
export class CallTimedOut extends Error {
  override name = 'CallTimedOut';
  readonly phase: CallPhase;
  /** What the call may take there, in milliseconds. */
  readonly limitMs: number;
  readonly alone: boolean;
  readonly tail: Tail;

  constructor(message: string, about: Pick<CallTimedOut, 'phase' | 'limitMs' | 'alone' | 'tail'>) {
    super(message);
    this.phase = about.phase;
    this.limitMs = about.limitMs;
    this.alone = about.alone;
    this.tail = about.tail;
  }
}

/** No runner of the plan is started any more: so many starts in a row have failed. Asking anew helps (`Runners.retry`). */
export class RunnerBroken extends Error {
  override name = 'RunnerBroken';
  readonly tail: Tail;

  constructor(message: string, about: { readonly tail: Tail; readonly cause?: unknown }) {
    super(message, about.cause === undefined ? undefined : { cause: about.cause });
    this.tail = about.tail;
  }
}
