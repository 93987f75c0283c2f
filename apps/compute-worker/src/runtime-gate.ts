import type { Log } from '@morpheo/service/log';
import type { ContainerRuntime } from './container-runtime/index.ts';

/** How long a runtime may take to say that it can run something, in milliseconds. */
const PATIENCE_MS = 10_000;

/**
 * Keeps orders out while nothing could run them: an order that is taken then would only use up its attempts. Says so
 * in the log once, and once when that is over.
 */
export class RuntimeGate {
  readonly #runtime: Partial<Pick<ContainerRuntime, 'ping'>>;
  readonly #log: Log;
  #closed = false;

  constructor(runtime: Partial<Pick<ContainerRuntime, 'ping'>>, log: Log) {
    this.#runtime = runtime;
    this.#log = log;
  }

  /** Whether the runtime says that it can run something. Rejects with the signal's reason. */
  async isOpen(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#runtime.ping?.(AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]));
      this.#tell(false);
    } catch (error) {
      signal.throwIfAborted();
      this.#tell(true, error);
    }
    return !this.#closed;
  }

  #tell(closed: boolean, error?: unknown): void {
    if (closed === this.#closed) return;
    this.#closed = closed;
    if (closed) this.#log.error({ error }, 'The runtime does not answer: no order is taken until it does');
    else this.#log.info({}, 'The runtime answers again: orders are taken');
  }
}
