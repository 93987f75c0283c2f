import type { Log } from '@morpheo/service/log';
import type { ContainerRuntime } from '../runtime/index.ts';

/** How long a runtime may take to say that it can run something, in milliseconds. */
const ANSWER_MS = 10_000;

/**
 * Whether the runtime answers: an order that is claimed while it does not would only use up its attempts. Logs once
 * that it does not, and once that it does again.
 */
export class RuntimeHealth {
  readonly #runtime: Partial<Pick<ContainerRuntime, 'ping'>>;
  readonly #log: Log;
  #away = false;

  constructor(runtime: Partial<Pick<ContainerRuntime, 'ping'>>, log: Log) {
    this.#runtime = runtime;
    this.#log = log;
  }

  /** Whether the runtime says that it can run something. Rejects with the signal's reason. */
  async isWell(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#runtime.ping?.(AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]));
      this.#note(false);
    } catch (error) {
      signal.throwIfAborted();
      this.#note(true, error);
    }
    return !this.#away;
  }

  #note(away: boolean, error?: unknown): void {
    if (away === this.#away) return;
    this.#away = away;
    if (away) this.#log.error({ error }, 'The runtime can run nothing: no order is claimed until it can');
    else this.#log.info({}, 'The runtime can run orders again: they are claimed');
  }
}
