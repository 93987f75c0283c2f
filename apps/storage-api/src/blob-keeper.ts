import type { Log } from '@morpheo/service/log';
import type { BlobStore, PutOptions, StoredBlob } from './blob-store/index.ts';
import type { StorageMeters } from './meters.ts';

/** What decides whether bytes are needed. */
export interface BlobReferences {
  hasBlob(digest: string): Promise<boolean>;
}

/** Keeps bytes and the rows that refer to them in step: no row without its bytes, no bytes for long without a row. */
export interface BlobKeeper {
  /**
   * Stores the bytes of `source` and then has `record` write the rows that make them visible, while nobody may remove
   * them. Resolves with what `record` resolves with. Where anything throws, bytes that nobody refers to are removed.
   */
  keep<T>(
    source: AsyncIterable<Uint8Array>,
    options: Omit<PutOptions, 'commit'>,
    record: (blob: StoredBlob) => Promise<T>,
  ): Promise<T>;
  /** Removes those of the blobs that no row refers to. Never throws: what could not be removed, `sweep` finds. */
  release(digests: readonly string[]): Promise<void>;
  /** Removes what dead writers left, and blobs without a row that were last put more than `graceMs` ago. */
  sweep(graceMs: number, signal?: AbortSignal): Promise<void>;
}

/** The {@link BlobKeeper} of a store and of the rows that refer to it. */
export function createBlobKeeper(
  blobs: BlobStore,
  references: BlobReferences,
  { log, meters }: { readonly log: Log; readonly meters: StorageMeters },
): BlobKeeper {
  const removeUnused = (digest: string) => blobs.remove(digest, () => references.hasBlob(digest));

  async function release(digests: readonly string[]): Promise<void> {
    for (const digest of digests) {
      try {
        await removeUnused(digest);
      } catch (error) {
        log.warn(
          { digest, error },
          'a blob that nobody needs could not be removed; the sweep will try again',
        );
      }
    }
  }

  async function removeOrphans(before: number, signal?: AbortSignal): Promise<number> {
    let removed = 0;
    for await (const { digest, storedAt } of blobs.list()) {
      signal?.throwIfAborted();
      if (storedAt.getTime() > before || (await references.hasBlob(digest))) continue;
      const needed = async () =>
        (await references.hasBlob(digest)) || ((await blobs.stat(digest))?.storedAt.getTime() ?? 0) > before;
      if (await blobs.remove(digest, needed)) removed++;
    }
    return removed;
  }

  return {
    release,
    async keep(source, options, record) {
      let known = false;
      const recorded = await putAndRecord(blobs, source, options, async (blob) => {
        // For the meters alone: where it fails, so does what follows, which says why in its own words.
        known = await references.hasBlob(blob.digest).catch(() => false);
        return await record(blob);
      });
      if ('result' in recorded) {
        meters.stored(recorded.blob.size, known);
        return recorded.result;
      }
      if (recorded.blob !== undefined) await release([recorded.blob.digest]);
      throw recorded.error;
    },
    async sweep(graceMs, signal) {
      const half = await blobs.sweep(graceMs);
      const orphans = await removeOrphans(Date.now() - graceMs, signal);
      meters.swept(half.files, orphans);
      if (half.files > 0 || orphans > 0) log.info({ ...half, orphans }, 'swept what nobody refers to');
    },
  };
}

type Recorded<T> =
  | { readonly result: T; readonly blob: StoredBlob }
  | { readonly error: unknown; readonly blob: StoredBlob | undefined };

/** Stores and records; where recording failed, the blob that is now in doubt is named beside the error. */
async function putAndRecord<T>(
  blobs: BlobStore,
  source: AsyncIterable<Uint8Array>,
  options: Omit<PutOptions, 'commit'>,
  record: (blob: StoredBlob) => Promise<T>,
): Promise<Recorded<T>> {
  let doubtful: StoredBlob | undefined;
  const results: T[] = [];
  const commit = async (blob: StoredBlob) => {
    doubtful = blob;
    results.push(await record(blob));
  };
  try {
    const blob = await blobs.put(source, { ...options, commit });
    return { result: results[0] as T, blob };
  } catch (error) {
    return { error, blob: doubtful };
  }
}
