import type { StoredBlob } from '../blobs/index.ts';
import type { Swept } from '../blobs/keeper.ts';
import { discardExpired, expiredBlobs } from '../metadata/staged.ts';
import type { StorageParts } from '../parts.ts';

/** What a collection has removed, or would remove. */
export interface Collected extends Swept {
  /** Blobs that only results held which nobody has published or discarded in time, or nothing at all. */
  readonly expired: { readonly blobs: number; readonly bytes: number };
}

/**
 * Removes what nobody needs: results that nobody published, the bytes that only they held, blobs without a row, and
 * what dead writers left. What is referred to, is being uploaded, or was put within the grace stays. Every reference
 * is a row, and a blob is removed while nobody can record one for it; so one look is enough. However much is kept, it
 * is looked through in pages, between which others are served. `dryRun` only counts.
 */
export async function collectGarbage(
  { database, keeper, settings, log }: StorageParts,
  { dryRun = false, signal }: { readonly dryRun?: boolean; readonly signal?: AbortSignal | undefined } = {},
): Promise<Collected> {
  const { orphanGraceMs, stagedMaxAgeMs } = settings;
  const look = dryRun ? expiredBlobs : discardExpired;
  let expired = await look(database, stagedMaxAgeMs, signal);
  if (!dryRun) {
    const removed = new Set(await keeper.release(expired.map(({ digest }) => digest)));
    expired = expired.filter(({ digest }) => removed.has(digest));
  }
  const swept = await keeper.sweep(orphanGraceMs, { dryRun, ...(signal === undefined ? {} : { signal }) });
  const collected = { ...swept, expired: { blobs: expired.length, bytes: sum(expired) } };
  if (!dryRun && totalOf(collected).files > 0) log.info({ ...collected }, 'swept what nobody refers to');
  return collected;
}

/** All that was removed: files, and bytes in them. */
export function totalOf({ halfWritten, orphans, expired }: Collected): { files: number; bytes: number } {
  return {
    files: halfWritten.files + orphans.blobs + expired.blobs,
    bytes: halfWritten.bytes + orphans.bytes + expired.bytes,
  };
}

function sum(blobs: readonly StoredBlob[]): number {
  return blobs.reduce((bytes, { size }) => bytes + size, 0);
}
