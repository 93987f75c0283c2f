import { createHash } from 'node:crypto';
import { all, PlatformError } from '@morpheo/common';
import { type BlobStore, piecesOf, putBlob } from '../blobs/index.ts';

/** What is moved where, and how. */
export interface MoveBlobs {
  readonly from: BlobStore;
  readonly to: BlobStore;
  /** How many blobs are copied at once. */
  readonly concurrency: number;
  /** Change nothing, and count what would be done. */
  readonly dryRun: boolean;
  /** Read every blob back from `to`, also one that was there. */
  readonly verify: boolean;
  /** Remove a blob from `from` once it was read back from `to`. */
  readonly removeSource: boolean;
  /** Told after each blob. */
  readonly progress?: (counts: MoveCounts) => void;
  /** Told of each blob that could not be moved; its source is kept. */
  readonly failed?: (digest: string, error: unknown) => void;
  readonly signal?: AbortSignal | undefined;
}

/** How far a move has come. */
export interface MoveCounts {
  /** What `from` had when the move began. */
  readonly total: { readonly blobs: number; readonly bytes: number };
  readonly copied: { readonly blobs: number; readonly bytes: number };
  /** Blobs that `to` had in full. */
  readonly present: number;
  readonly removed: number;
  readonly failed: number;
}

/**
 * Copies every blob of one store to another, each compared with its digest: `to` takes no other bytes. What `to` has
 * in the same size is not copied again, so that a move that was cut goes on. One blob that fails keeps no other from
 * being moved. Resolves with the final counts; throws what listing throws, and the reason of the signal.
 */
export async function moveBlobs(options: MoveBlobs): Promise<MoveCounts> {
  const counts = {
    total: await countBlobs(options),
    copied: { blobs: 0, bytes: 0 },
    present: 0,
    removed: 0,
    failed: 0,
  };
  const blobs = options.from.list()[Symbol.asyncIterator]();
  const work = async (signal: AbortSignal): Promise<void> => {
    for (let next = await blobs.next(); next.done !== true; next = await blobs.next()) {
      signal.throwIfAborted();
      const blob = next.value;
      try {
        const done = await moveBlob({ ...options, signal }, blob);
        if (done.copied) counts.copied = add(counts.copied, blob.size);
        else counts.present++;
        if (done.removed) counts.removed++;
      } catch (error) {
        signal.throwIfAborted();
        counts.failed++;
        options.failed?.(blob.digest, error);
      }
      options.progress?.(counts);
    }
  };
  try {
    const signal = options.signal ?? new AbortController().signal;
    await all(
      signal,
      Array.from({ length: options.concurrency }, () => work),
    );
  } finally {
    await blobs.return?.();
  }
  return counts;
}

function add({ blobs, bytes }: { readonly blobs: number; readonly bytes: number }, size: number) {
  return { blobs: blobs + 1, bytes: bytes + size };
}

async function countBlobs({ from, signal }: MoveBlobs): Promise<{ blobs: number; bytes: number }> {
  const total = { blobs: 0, bytes: 0 };
  for await (const { size } of from.list()) {
    signal?.throwIfAborted();
    total.blobs++;
    total.bytes += size;
  }
  return total;
}

async function moveBlob(
  { from, to, dryRun, verify, removeSource, signal }: MoveBlobs,
  { digest, size }: { readonly digest: string; readonly size: number },
): Promise<{ readonly copied: boolean; readonly removed: boolean }> {
  const present = (await to.stat(digest))?.size === size;
  if (dryRun) return { copied: !present, removed: removeSource };
  if (!present) await putBlob(to, piecesOf(await from.get(digest)), { digest, size, signal });
  if (verify || removeSource) await readBack(to, digest);
  return { copied: !present, removed: removeSource && (await from.remove(digest)) };
}

/** Throws `digest_mismatch` where the bytes of a blob are not those that its name says. */
async function readBack(store: BlobStore, digest: string): Promise<void> {
  const hash = createHash('sha256');
  for await (const piece of piecesOf(await store.get(digest))) hash.update(piece);
  const found = hash.digest('hex');
  if (found === digest) return;
  throw new PlatformError(
    'digest_mismatch',
    `The copy has the SHA-256 ${found}: remove it from the store that gets the blobs, and move again.`,
  );
}
