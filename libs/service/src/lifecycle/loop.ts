import type { Log } from '../log/index.ts';

/** What {@link startLoop} is given. */
export interface StartLoop {
  /** For the log. */
  readonly name: string;
  /** The pause after a run that went well, in milliseconds. */
  readonly everyMs: number;
  /** The share of the pause that chance may take away, so that many processes do not come at once; none where absent. */
  readonly jitter?: number;
  /** What to do; the signal is aborted when the loop is disposed. Never runs twice at once. */
  readonly work: (signal: AbortSignal) => Promise<void>;
  readonly log: Log;
  /** The longest pause after runs that threw, in milliseconds; 30,000 or `everyMs`, whichever is more, where absent. */
  readonly maxPauseMs?: number;
}

/** Work that is done again and again; see {@link startLoop}. */
export interface Loop {
  /** Runs the work at once, or once more where it is running. While it backs off after an error, the pause stays. */
  wake(): void;
  /** Ends the loop: no run begins any more, and the one under way is told by its signal and awaited. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Does work at once and then again after every pause, never overlapping, until disposed. Where the work throws, the
 * error is logged and the pause grows (doubling, with jitter) until a run goes well.
 */
export function startLoop(options: StartLoop): Loop {
  return new WorkLoop(options);
}

class WorkLoop implements Loop {
  readonly #options: StartLoop;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #failures = 0;
  #state: 'working' | 'woken' = 'woken';
  #endRest: (() => void) | undefined;

  constructor(options: StartLoop) {
    this.#options = options;
    // Not in this very turn, so that the work may use what its owner is about to keep the loop in.
    this.#ended = Promise.resolve().then(() => this.#run());
  }

  wake(): void {
    this.#state = 'woken';
    if (this.#failures === 0) this.#endRest?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#endRest?.();
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#state = 'working';
      await this.#workOnce();
      await this.#rest();
    }
  }

  async #workOnce(): Promise<void> {
    const { name, log, work } = this.#options;
    try {
      await work(this.#stop.signal);
      if (this.#failures > 0) log.info({ loop: name, failures: this.#failures }, 'works again');
      this.#failures = 0;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#failures += 1;
      log.warn({ loop: name, failures: this.#failures, error }, 'failed; it is tried again');
    }
  }

  async #rest(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const pauseMs = this.#pauseMs();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      this.#endRest = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endRest = undefined;
  }

  #pauseMs(): number {
    const { everyMs, jitter = 0, maxPauseMs = Math.max(everyMs, 30_000) } = this.#options;
    if (this.#failures === 0) return this.#state === 'woken' ? 0 : everyMs * (1 - jitter * Math.random());
    // Jitter, so that services that failed together do not come back together.
    return Math.min(maxPauseMs, Math.max(everyMs, 1) * 2 ** this.#failures) * (0.5 + Math.random() / 2);
  }
}
