import { gather, PlatformError } from '@morpheo/common';

/** Brings what was written to an open file to disk, by its descriptor; `file` names it. Rejects where that fails. */
export type SyncFile = (descriptor: number, file: string) => Promise<void>;

/**
 * Brings the log of writes (`-wal`) to disk off the thread that serves. As many syncs run at a time as there are ways to do
 * one; commits that come while all are busy share the next one. Commits are told to be on disk in their order.
 *
 * A sync that fails is the last one: the system may have forgotten what it could not write, so that another sync would
 * succeed without it. All who wait are rejected, and so is everybody who comes later.
 */
export class SyncedLog {
  readonly #sync: (commit: undefined) => Promise<undefined>;
  #pending: Promise<void> | undefined;

  /**
   * Each of `ways` has a descriptor of its own, since the system tells each descriptor once that something was not written.
   * `failed` is called with what everybody is rejected with.
   */
  constructor(ways: readonly (() => Promise<void>)[], file: string, failed: (error: PlatformError) => void) {
    const free = [...ways];
    let failure: PlatformError | undefined;
    this.#sync = gather<undefined, undefined>(
      async (commits) => {
        if (failure !== undefined) throw failure;
        const sync = free.pop();
        try {
          await sync?.();
        } catch (cause) {
          failure ??= syncError(file, cause);
          failed(failure);
        }
        if (sync !== undefined) free.push(sync);
        // Also where another one has failed meanwhile: both were about what was written before.
        if (failure !== undefined) throw failure;
        return commits.map(() => ({ status: 'fulfilled', value: undefined }));
      },
      { most: Number.POSITIVE_INFINITY, rounds: ways.length },
    );
  }

  /** Resolves when all that was committed is on disk; undefined where it is there. */
  get pending(): Promise<void> | undefined {
    return this.#pending;
  }

  /** Resolves when what was committed up to now is on disk; rejects with `unavailable` where it does not get there. */
  sync(): Promise<void> {
    const synced = this.#inOrder(this.#sync(undefined), this.#pending);
    this.#pending = synced;
    const forget = () => {
      if (this.#pending === synced) this.#pending = undefined;
    };
    // What failed stays pending: nobody is to be answered after it.
    void synced.then(forget, () => undefined);
    return synced;
  }

  async #inOrder(synced: Promise<undefined>, before: Promise<void> | undefined): Promise<void> {
    await Promise.all([synced, before]);
  }
}

/** Why a file is not used any more, after a sync of it has failed. */
export function syncError(file: string, cause: unknown): PlatformError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message =
    `The disk did not take what was written to the database ${file} (${why}), which is not used any more: ` +
    'check the disk, and start this service again.';
  return new PlatformError('unavailable', message, { cause });
}
