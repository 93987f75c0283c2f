import type { Log } from '../log/index.ts';

/** A hang-up (a closed terminal, `logrotate`) asks as the others do: by itself it would end the process undrained. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * Hears what asks this process to stop, until disposed: signals, and errors that nobody caught. Such an error is
 * logged, makes the exit code 1 and leaves no time for draining.
 */
export class StopRequests {
  /** Resolves with the reason when the process is to stop. */
  readonly asked: Promise<string>;
  /** Resolves with the reason when it is to stop at once. */
  readonly hurried: Promise<string>;
  readonly #ask = Promise.withResolvers<string>();
  readonly #hurry = Promise.withResolvers<string>();
  readonly #log: () => Log;
  #signals = 0;

  /** The log is asked for anew each time, as the service may bring one of its own. */
  constructor(log: () => Log) {
    this.#log = log;
    this.asked = this.#ask.promise;
    this.hurried = this.#hurry.promise;
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    process.on('uncaughtException', this.#onError);
    process.on('unhandledRejection', this.#onError);
  }

  /** Leaves signals and errors to Node's own ways again. */
  [Symbol.dispose](): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    process.off('uncaughtException', this.#onError);
    process.off('unhandledRejection', this.#onError);
  }

  readonly #onSignal = (signal: string): void => {
    this.#signals += 1;
    if (this.#signals === 1) this.#ask.resolve(signal);
    else this.#hurry.resolve(signal);
  };

  readonly #onError = (error: unknown): void => {
    process.exitCode = 1;
    this.#log().error({ error }, 'an error was not caught; the service stops');
    this.#ask.resolve('an error');
    this.#hurry.resolve('an error');
  };
}
