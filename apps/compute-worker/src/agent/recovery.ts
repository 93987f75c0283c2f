import { abortable } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { AttemptJournal } from '../attempt/journal.ts';
import type { Workspaces } from '../attempt/workspace.ts';
import type { AttemptName, ContainerRuntime } from '../runtime/index.ts';
import { GIVE_UP_SHARE } from './leases.ts';
import type { Registration, Resumption } from './registration.ts';

/** What a {@link Recovery} works with. */
export interface RecoveryOptions {
  readonly runtime: Pick<ContainerRuntime, 'disown'>;
  readonly workspaces: Pick<Workspaces, 'left' | 'reopen'>;
  readonly log: Log;
}

/**
 * The attempts that a dead process of this worker left and that this one could resume. They are named to compute-api;
 * those that it does not leave to this worker, or not in time, are discarded with their containers and files.
 */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #left: Map<string, AttemptJournal>;
  #discarding: Promise<void> = Promise.resolve();

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#left = new Map(options.workspaces.left.map((journal) => [keyOf(journal.of), journal]));
  }

  /** The attempts that are neither resumed nor discarded yet. */
  get attempts(): AttemptName[] {
    return [...this.#left.values()].map((journal) => journal.of);
  }

  /** Asks which attempts compute-api leaves to this worker, and discards the others in the background. */
  async resumable(registration: Registration, signal: AbortSignal): Promise<Resumption> {
    const { log } = this.#options;
    if (this.#left.size === 0) return { claims: [], askedAt: 0 };
    // Later than this the orders may be another worker's: the containers here must not run on.
    const timeoutMs = Math.min(...[...this.#left.values()].map(({ leaseMs }) => leaseMs)) * GIVE_UP_SHARE;
    const timer = setTimeout(() => {
      log.warn({}, 'compute-api does not answer: the attempts of an earlier process are discarded');
      void this.discardExcept([]);
    }, timeoutMs);
    try {
      const resumption = await abortable(registration.resumption(), signal);
      const attempts = resumption.claims.length;
      if (attempts > 0) log.info({ attempts }, 'The worker was started again, and resumes attempts');
      // Not awaited: the leases of what is resumed have to be renewed meanwhile.
      void this.discardExcept(resumption.claims);
      return resumption;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Hands an attempt's journal to who resumes it; undefined where nothing is left of it. {@link end} follows. */
  resume(attempt: AttemptName): AttemptJournal | undefined {
    const journal = this.#left.get(keyOf(attempt));
    this.#left.delete(keyOf(attempt));
    return journal;
  }

  /** Ends what the containers of an attempt that was resumed may have left. */
  async end(attempt: AttemptName): Promise<void> {
    await this.#options.runtime.disown?.(attempt);
  }

  /** Discards all but these. Never throws; an error is logged. */
  async discardExcept(attempts: readonly AttemptName[]): Promise<void> {
    const discarding = this.#discarding.then(async () => await this.#discard(attempts));
    this.#discarding = discarding.catch((error: unknown) =>
      this.#options.log.error({ error }, 'The attempts of an earlier process cannot be discarded'),
    );
    await this.#discarding;
  }

  async #discard(allBut: readonly AttemptName[]): Promise<void> {
    const kept = new Set(allBut.map(keyOf));
    for (const [key, journal] of [...this.#left]) {
      if (kept.has(key)) continue;
      this.#left.delete(key);
      await this.end(journal.of);
      await this.#options.workspaces.reopen(journal)[Symbol.asyncDispose]();
    }
  }
}

function keyOf({ order, attempt }: AttemptName): string {
  return `${order} ${attempt}`;
}
