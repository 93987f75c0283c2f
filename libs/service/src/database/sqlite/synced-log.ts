import { gather, PlatformError } from '@morpheo/common';

/** Brings what was written to an open file to disk, by its descriptor; `file` names it. Rejects where that fails. */
export type SyncFile = (descriptor: number, file: string) => Promise<void>;

/**
 * Brings the log of writes (`-wal`) to disk off the thread that serves. One sync runs at a time; commits that come
 * meanwhile share the next one, and are on disk in their order.
 *
 * A sync that fails is the last one: the system may have forgotten what it could not write, so that another sync would
 * succeed without it. All who wait are rejected, and so is everybody who comes later.
 */
export class SyncedLog {
  readonly #sync: (commit: undefined) => Promise<undefined>;
  #pending: Promise<void> | undefined;

  /** `failed` is called once, with what everybody is rejected with. */
  constructor(sync: () => Promise<void>, file: string, failed: (error: PlatformError) => void) {
    let failure: PlatformError | undefined;
    this.#sync = gather<undefined, undefined>(
      async (commits) => {
        if (failure !== undefined) throw failure;
        try {
          await sync();
        } catch (cause) {
          failure = syncError(file, cause);
          failed(failure);
          throw failure;
        }
        return commits.map(() => ({ status: 'fulfilled', value: undefined }));
      },
      { most: Number.POSITIVE_INFINITY },
    );
  }

  /** Resolves when all that was committed is on disk; undefined where it is there. */
  get pending(): Promise<void> | undefined {
    return this.#pending;
  }

  /** Resolves when what was committed up to now is on disk; rejects with `unavailable` where it does not get there. */
  sync(): Promise<void> {
    const synced: Promise<void> = this.#sync(undefined);
    this.#pending = synced;
    const forget = () => {
      if (this.#pending === synced) this.#pending = undefined;
    };
    // What failed stays pending: nobody is to be answered after it.
    void synced.then(forget, () => undefined);
    return synced;
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
