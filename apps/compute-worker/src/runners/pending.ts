import type { CallResult, RunnerCall } from './index.ts';

/** What a call comes to, but for its value. */
export type CallReport = Omit<CallResult<unknown>, 'value'>;

/** A call on its way: waiting, in a runner, or over. It ends once, whatever comes first. */
export class PendingCall {
  readonly call: RunnerCall<void>;
  readonly since = performance.now();
  /** Its time for waiting has passed, and it waits only for a start that goes on. */
  isOverdue = false;
  readonly #done = Promise.withResolvers<CallReport>();
  readonly #abort: () => void;
  /** Until it is over. */
  #settle: PromiseWithResolvers<CallReport> | undefined = this.#done;
  /** What is to be done about it where it is ended from outside: to be taken from a queue, or to end a runner. */
  onAbandoned: () => void = () => undefined;

  constructor(call: RunnerCall<void>) {
    this.call = call;
    this.#done.promise.catch(() => undefined);
    this.#abort = () => this.abandon(call.signal.reason);
    call.signal.addEventListener('abort', this.#abort, { once: true });
  }

  /** What came of it. */
  get done(): Promise<CallReport> {
    return this.#done.promise;
  }

  get isOver(): boolean {
    return this.#settle === undefined;
  }

  /** It has its answer. */
  succeed(report: CallReport): void {
    this.#end()?.resolve(report);
  }

  /** It has failed, and whoever has it knows. */
  fail(error: unknown): void {
    this.#end()?.reject(error);
  }

  /** Its time is over, or its caller does not want it any more: whoever has it is told. */
  abandon(error: unknown): void {
    const settle = this.#end();
    settle?.reject(error);
    if (settle !== undefined) this.onAbandoned();
  }

  /** Who waits for it, the first time. */
  #end(): PromiseWithResolvers<CallReport> | undefined {
    const settle = this.#settle;
    this.#settle = undefined;
    this.call.signal.removeEventListener('abort', this.#abort);
    return settle;
  }
}
