import type { Log } from '@morpheo/service/log';
import {
  hasBlob,
  hasOwnBlob,
  isDamaged,
  markDamaged,
  type OwnBlob,
  recordedAmong,
} from '../metadata/blobs.ts';
import type { StorageDatabase } from '../metadata/schema.ts';
import type { StorageMeters } from '../metrics.ts';
import type { BlobStore, ReceiveOptions, StoredBlob } from './index.ts';

/** What a sweep has removed: bytes, and how many files of each sort held them. */
export interface Swept {
  readonly halfWritten: { readonly files: number; readonly bytes: number };
  readonly orphans: { readonly blobs: number; readonly bytes: number };
}

/**
 * Bytes that are on disk, for which the caller now writes the rows that refer to them. Until then, and until it is
 * disposed, nobody removes them. Disposed without a commit, they are removed where no row refers to them: so whatever
 * throws in between leaves nothing behind.
 */
export interface UncommittedBlob extends StoredBlob, AsyncDisposable {
  /** The rows are written: lets go of the bytes, which stay. */
  commit(): Promise<void>;
}

/** What is told of bytes that are kept. */
export interface KeepOptions extends Omit<ReceiveOptions, 'replace'> {
  /**
   * Whose they are, and as what: they count as kept once where the same owner has them as the same type already. That
   * somebody else has them is told to nobody: it would say whether a guess at hidden bytes is right.
   */
  readonly whose?: OwnBlob | undefined;
}

/** Keeps bytes and the rows that refer to them in step: no row without its bytes, no bytes for long without a row. */
export interface BlobKeeper {
  /** Stores the bytes of `source`; throws as {@link BlobStore} says. The answer must be disposed. */
  receive(source: AsyncIterable<Uint8Array>, options: KeepOptions): Promise<UncommittedBlob>;
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

/** So many blobs that the store lists are looked up in one statement. */
const LOOKED_UP = 100;

/** The {@link BlobKeeper} of a store and of the database whose rows refer to its blobs. */
export function createBlobKeeper(
  blobs: BlobStore,
  database: StorageDatabase,
  { log, meters }: { readonly log: Log; readonly meters: StorageMeters },
): BlobKeeper {
  const isReferenced = (digest: string) => hasBlob(database.read, digest);

  async function release(digests: readonly string[]): Promise<string[]> {
    const removed: string[] = [];
    for (const digest of digests) {
      try {
        if (await blobs.remove(digest, () => isReferenced(digest))) removed.push(digest);
      } catch (error) {
        log.warn(
          { digest, error },
          'a blob that nobody needs could not be removed; the sweep will try again',
        );
      }
    }
    return removed;
  }

  /** What is recorded stays so: where the mark stays, the next scrub takes it away. */
  async function healed(digest: string): Promise<void> {
    try {
      await markDamaged(database, digest, false);
      log.info({ digest }, 'a damaged blob was uploaded again, and is good');
    } catch (error) {
      log.warn({ digest, error }, 'a blob is good again, and stays marked as damaged until it is scrubbed');
    }
  }

  /** The old ones of what the store lists that had no row when they were looked up, many at once. */
  async function* unrecorded(before: number, signal?: AbortSignal): AsyncGenerator<StoredBlob> {
    let page: StoredBlob[] = [];
    const lookUp = async (): Promise<StoredBlob[]> => {
      const known = await recordedAmong(
        database.read,
        page.map(({ digest }) => digest),
      );
      return page.filter(({ digest }) => !known.has(digest));
    };
    for await (const { digest, size, storedAt } of blobs.list()) {
      signal?.throwIfAborted();
      if (storedAt.getTime() > before) continue;
      page.push({ digest, size });
      if (page.length < LOOKED_UP) continue;
      yield* await lookUp();
      page = [];
    }
    if (page.length > 0) yield* await lookUp();
  }

  async function removeOrphans(before: number, { dryRun, signal }: SweepHow): Promise<Swept['orphans']> {
    const removed = { blobs: 0, bytes: 0 };
    for await (const { digest, size } of unrecorded(before, signal)) {
      const needed = async () =>
        (await isReferenced(digest)) || ((await blobs.stat(digest))?.storedAt.getTime() ?? 0) > before;
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
    async receive(source, { whose, ...options }) {
      const replace = (digest: string) => isDamaged(database.read, digest);
      const received = await blobs.receive(source, { ...options, replace });
      const { digest, size, replaced } = received;
      // For the meters alone: where it fails, so does what follows, which says why in its own words.
      const known =
        whose !== undefined && (await hasOwnBlob(database.read, whose, digest).catch(() => false));
      let committed = false;
      return {
        ...{ digest, size },
        async commit() {
          committed = true;
          if (replaced) await healed(digest);
          await received[Symbol.asyncDispose]();
          meters.stored(size, known && !replaced);
        },
        async [Symbol.asyncDispose]() {
          await received[Symbol.asyncDispose]();
          if (!committed) await release([digest]);
        },
      };
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
