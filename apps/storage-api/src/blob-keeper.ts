import type { Log } from '@morpheo/service/log';
import type { BlobStore, PutOptions, StoredBlob } from './blob-store/index.ts';
import type { StorageMeters } from './meters.ts';

/** What decides whether bytes are needed. */
export interface BlobReferences {
  hasBlob(digest: string): Promise<boolean>;
  /** True where a blob is marked as damaged: other bytes of the same digest are to take its place. */
  isDamaged(digest: string): Promise<boolean>;
  /** Takes the mark away. */
  heal(digest: string): Promise<unknown>;
}

/** What a sweep has removed: bytes, and how many files of each sort held them. */
export interface Swept {
  readonly halfWritten: { readonly files: number; readonly bytes: number };
  readonly orphans: { readonly blobs: number; readonly bytes: number };
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
  /**
   * Removes those of the blobs that no row refers to, and says which they were. Never throws: what could not be
   * removed, `sweep` finds.
   */
  release(digests: readonly string[]): Promise<readonly string[]>;
  /**
   * Removes what dead writers left, and blobs without a row that were last put more than `graceMs` ago; says what that
   * was, and with `dryRun` only says it.
   */
  sweep(graceMs: number, how?: { readonly dryRun?: boolean; readonly signal?: AbortSignal }): Promise<Swept>;
}

/** The {@link BlobKeeper} of a store and of the rows that refer to it. */
export function createBlobKeeper(
  blobs: BlobStore,
  references: BlobReferences,
  { log, meters }: { readonly log: Log; readonly meters: StorageMeters },
): BlobKeeper {
  const removeUnused = (digest: string) => blobs.remove(digest, () => references.hasBlob(digest));

  async function release(digests: readonly string[]): Promise<string[]> {
    const removed: string[] = [];
    for (const digest of digests) {
      try {
        if (await removeUnused(digest)) removed.push(digest);
      } catch (error) {
        log.warn(
          { digest, error },
          'a blob that nobody needs could not be removed; the sweep will try again',
        );
      }
    }
    return removed;
  }

  /** What was recorded is recorded: where the mark stays, the next scrub takes it away. */
  async function healed(digest: string): Promise<void> {
    try {
      await references.heal(digest);
      log.info({ digest }, 'a damaged blob was uploaded again, and is good');
    } catch (error) {
      log.warn({ digest, error }, 'a blob is good again, and stays marked as damaged until it is scrubbed');
    }
  }

  async function removeOrphans(before: number, { dryRun, signal }: SweepHow): Promise<Swept['orphans']> {
    const removed = { blobs: 0, bytes: 0 };
    for await (const { digest, size, storedAt } of blobs.list()) {
      signal?.throwIfAborted();
      if (storedAt.getTime() > before || (await references.hasBlob(digest))) continue;
      const needed = async () =>
        (await references.hasBlob(digest)) || ((await blobs.stat(digest))?.storedAt.getTime() ?? 0) > before;
      try {
        if (dryRun !== true && !(await blobs.remove(digest, needed))) continue;
        removed.blobs++;
        removed.bytes += size;
      } catch (error) {
        log.warn(
          { digest, error },
          'a blob that nobody needs could not be removed; the next sweep tries again',
        );
      }
    }
    return removed;
  }

  return {
    release,
    async keep(source, options, record) {
      let known = false;
      let replaced = false;
      const replace = async (digest: string) => {
        replaced = await references.isDamaged(digest);
        return replaced;
      };
      const recorded = await putAndRecord(blobs, source, { ...options, replace }, async (blob) => {
        // For the meters alone: where it fails, so does what follows, which says why in its own words.
        known = await references.hasBlob(blob.digest).catch(() => false);
        const result = await record(blob);
        if (replaced) await healed(blob.digest);
        return result;
      });
      if ('result' in recorded) {
        meters.stored(recorded.blob.size, known && !replaced);
        return recorded.result;
      }
      if (recorded.blob !== undefined) await release([recorded.blob.digest]);
      throw recorded.error;
    },
    async sweep(graceMs, how = {}) {
      const halfWritten = await blobs.sweep(graceMs, how);
      const orphans = await removeOrphans(Date.now() - graceMs, how);
      if (how.dryRun !== true) meters.swept(halfWritten.files, orphans.blobs);
      return { halfWritten, orphans };
    },
  };
}

type SweepHow = NonNullable<Parameters<BlobKeeper['sweep']>[1]>;

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
