import type { Readable } from 'node:stream';
import { sleep } from '@morpheo/common';
import type { OutputChunk, RunOptions, RunResult } from './index.ts';
import { Output } from './output.ts';

/** The limits of a run, by how a run that passes one ends. */
export type PassedLimit = Exclude<RunResult['ended'], 'exited'>;

/** Why a run ends: by itself, for a limit that it passed, or for an error (or an abort) that its caller is to get. */
export type EndCause =
  | { readonly kind: 'exited' }
  | { readonly kind: 'limit'; readonly ended: PassedLimit }
  | { readonly kind: 'failed'; readonly error: unknown };

/** A run goes on; it ends, being killed where it has not exited, and its last output is passed on; or it is over. */
type State =
  | { readonly name: 'running' }
  | { readonly name: 'ending'; readonly cause: EndCause }
  | { readonly name: 'concluded' };

/** The later cause of a higher rank overrides: an abort while the last output is read counts more than the exit. */
const RANK: Readonly<Record<EndCause['kind'], number>> = { exited: 0, limit: 1, failed: 2 };

const QUIET_MS = 2000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * How far a run is, whatever runs it: `running`, then `ending` for a cause, then `concluded`. Its output is part of
 * it, since the output's limit and an error of its receiver end the run, and nothing is passed on once the run failed.
 * It heeds the signal of the options until it is disposed.
 */
export class RunState implements Disposable {
  readonly #output: Output;
  /** After so long without output its end is not waited for. */
  readonly #quietMs: number;
  readonly #signal: AbortSignal;
  readonly #abort: () => void;
  readonly #ending = Promise.withResolvers<EndCause>();
  #state: State = { name: 'running' };

  constructor({ signal, onOutput }: RunOptions, outputBytes: number, quietMs = QUIET_MS) {
    this.#quietMs = quietMs;
    const onLimit = () => this.end({ kind: 'limit', ended: 'output_limit' });
    this.#output = new Output({ limitBytes: outputBytes, onOutput, onLimit });
    this.#signal = signal;
    this.#abort = () => this.fail(signal.reason);
    signal.addEventListener('abort', this.#abort);
    if (signal.aborted) this.#abort();
  }

  /** Resolves with the first cause when the run begins to end. */
  get ending(): Promise<EndCause> {
    return this.#ending.promise;
  }

  /** Why it ends, as far as that is known by now; that it exited by itself where nothing else is. */
  get cause(): EndCause {
    return this.#state.name === 'ending' ? this.#state.cause : { kind: 'exited' };
  }

  /** Ends the run for a cause, or lets that override an earlier one of a lower rank. */
  end(cause: EndCause): void {
    if (this.#state.name === 'concluded') return;
    if (this.#state.name === 'running' || RANK[cause.kind] > RANK[this.#state.cause.kind]) {
      this.#state = { name: 'ending', cause };
    }
    if (cause.kind === 'failed') this.#output.close();
    this.#ending.resolve(cause);
  }

  /** Ends the run for an error that its caller gets. */
  fail(error: unknown): void {
    this.end({ kind: 'failed', error });
  }

  /** Throws the error for which the run ends, where it is one. */
  throwIfFailed(): void {
    if (this.cause.kind === 'failed') throw this.cause.error;
  }

  /** Passes a stream on until it ends; an error of it, or of the receiver, ends the run. */
  async pump(stream: OutputChunk['stream'], from: Readable): Promise<void> {
    await this.#output.pump(stream, from).catch((error: unknown) => this.fail(error));
  }

  /** Passes bytes on, after what was passed on before; an error of their receiver ends the run. */
  async print(stream: OutputChunk['stream'], bytes: Uint8Array): Promise<void> {
    await this.#output.print(stream, bytes).catch((error: unknown) => this.fail(error));
  }

  /**
   * Waits until what is pumped is passed on; should its end never come, until nothing came for a while (two seconds) from now on. Not
   * longer than until the run fails.
   */
  async drained(pumped: Promise<unknown>): Promise<void> {
    const stop = new AbortController();
    const start = performance.now();
    // A program that was silent for long may have printed its last words a moment ago.
    const isQuiet = () => Math.min(this.#output.idleMs, performance.now() - start) >= this.#quietMs;
    const quiet = async () => {
      while (!isQuiet() && this.cause.kind !== 'failed') {
        await sleep(20, stop.signal).catch(() => undefined);
        if (stop.signal.aborted) return;
      }
    };
    await Promise.race([pumped, quiet()]);
    stop.abort();
  }

  /** The run is over: nothing is passed on any more, and no cause changes how it ended. */
  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#abort);
    this.#output.close();
    this.#state = { name: 'concluded' };
  }
}

/**
 * Calls `onLate` once so many milliseconds of the wall clock have passed, unless it is disposed of before. Timers
 * count whole milliseconds, and may be one early: nobody is to lose what is left of its time.
 */
export function onWallLimit(wallMs: number, onLate: () => void): Disposable {
  const timer = setTimeout(onLate, Math.min(Math.ceil(wallMs) + 1, LONGEST_TIMER_MS));
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
