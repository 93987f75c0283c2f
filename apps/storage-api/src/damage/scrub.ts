import { createHash } from 'node:crypto';
import { isPlatformError } from '@morpheo/common';
import type { BlobStore, StoredBlob } from '../blob-store/index.ts';
import { piecesOf } from '../blob-store/pieces.ts';
import type { StorageMeters } from '../meters.ts';
import type { StorageDatabase } from '../schema.ts';
import type { DamageWatch } from './damage-watch.ts';
import type { DamagedBlobs } from './damaged-blobs.ts';
import { pacer } from './pace.ts';
import { takeScrub } from './scrub-place.ts';

/** How a scrub is done. */
export interface ScrubHow {
  /** Begin only where the last round ended so long ago, in milliseconds; at once where absent. */
  readonly everyMs?: number | undefined;
  /** How many bytes are read in a second at the most. */
  readonly rate?: number | undefined;
  /** Ends the scrub between two pieces; the next goes on with the blob that it was at. */
  readonly signal?: AbortSignal | undefined;
  /** Told after each blob. */
  readonly progress?: ((counts: ScrubCounts) => void) | undefined;
}

/** How far a scrub has come. */
export interface ScrubCounts {
  /** Blobs that were read, and their bytes. */
  readonly blobs: number;
  readonly bytes: number;
  /** Blobs that are damaged, or gone from the store; those that were known to be are among them. */
  readonly damaged: number;
  /** Blobs that were marked as damaged and are good again. */
  readonly healed: number;
  /** `ended`: all were read. `busy`: another process does it. `early`: none is due yet, or another process does it. */
  readonly outcome: 'ended' | 'busy' | 'early';
}

interface Scrub extends ScrubHow {
  readonly database: StorageDatabase;
  readonly blobs: BlobStore;
  readonly damaged: DamagedBlobs;
  readonly damage: DamageWatch;
  readonly meters: Pick<StorageMeters, 'scrubbed'>;
  readonly rate: number | undefined;
}

/** So many rows are looked up at once. */
const PAGE_BLOBS = 100;
/** The place is kept this often, in milliseconds. */
const KEEP_MS = 5_000;

/**
 * Reads every blob and compares it with its digest: one that has other bytes is marked, and served to nobody; one that
 * was marked and is good again loses its mark. The place is kept in the database, so that a scrub that was cut goes on.
 * Rejects with `unavailable` where the store or the database does not answer, and with the reason of the signal.
 */
export async function scrubBlobs(scrub: Scrub): Promise<ScrubCounts> {
  const place = await takeScrub(scrub.database, scrub.everyMs ?? 0);
  const counts = { blobs: 0, bytes: 0, damaged: 0, healed: 0 };
  if (place === undefined) return { ...counts, outcome: scrub.everyMs === undefined ? 'busy' : 'early' };
  const pace = scrub.rate === undefined ? undefined : pacer(scrub.rate, scrub.signal);
  let { position } = place;
  let kept = performance.now();
  try {
    for await (const blob of blobsAfter(scrub, position)) {
      const found = await look(scrub, blob, async (bytes) => {
        await pace?.(bytes);
        if (performance.now() - kept < KEEP_MS) return;
        kept = performance.now();
        if (!(await place.keep(position))) throw new Error('another process goes on with the scrub');
      });
      position = blob.digest;
      counts.blobs += 1;
      counts.bytes += found.bytes;
      if (found.damaged) counts.damaged += 1;
      if (found.healed) counts.healed += 1;
      scrub.progress?.({ ...counts, outcome: 'ended' });
    }
    await place.finish();
    return { ...counts, outcome: 'ended' };
  } catch (error) {
    await place.keep(position).catch(() => false);
    await place.release().catch(() => {});
    throw error;
  }
}

async function* blobsAfter(
  { database, signal }: Scrub,
  position: string,
): AsyncGenerator<StoredBlob & { readonly marked: boolean }> {
  for (let after = position; ; ) {
    const rows = await database.read
      .selectFrom('blobs')
      .selectAll()
      .where('sha256', '>', after)
      .orderBy('sha256')
      .limit(PAGE_BLOBS)
      .execute();
    for (const { sha256: digest, size, damaged_at: since } of rows) {
      signal?.throwIfAborted();
      yield { digest, size, marked: since !== null };
    }
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.sha256;
  }
}

async function look(
  { blobs, damaged, damage, meters, signal }: Scrub,
  { digest, size, marked }: StoredBlob & { readonly marked: boolean },
  read: (bytes: number) => Promise<void>,
): Promise<{ readonly bytes: number; readonly damaged: boolean; readonly healed: boolean }> {
  const hash = createHash('sha256');
  let bytes = 0;
  let wrong: string | undefined;
  try {
    for await (const piece of piecesOf(await blobs.get(digest))) {
      bytes += piece.byteLength;
      hash.update(piece);
      meters.scrubbed(piece.byteLength);
      await read(piece.byteLength);
    }
    const found = hash.digest('hex');
    if (found !== digest) wrong = `${bytes} of ${size} bytes with the SHA-256 ${found}`;
  } catch (error) {
    signal?.throwIfAborted();
    if (!isDamage(error)) throw error;
    wrong = error.message;
  }
  if (wrong === undefined) return { bytes, damaged: false, healed: marked && (await damaged.heal(digest)) };
  // What was deleted meanwhile is none of the damaged ones.
  if (!(await damaged.isKnown(digest))) return { bytes, damaged: false, healed: false };
  await damage.report(digest, wrong);
  return { bytes, damaged: true, healed: false };
}

/** What a store says where bytes are lost, cut short, or cannot be read from the disk. */
function isDamage(error: unknown): error is Error {
  if (isPlatformError(error)) return isPlatformError(error, 'not_found', 'internal');
  return error instanceof Error && 'code' in error && error.code === 'EIO';
}
