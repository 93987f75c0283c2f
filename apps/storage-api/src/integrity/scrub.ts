import { createHash } from 'node:crypto';
import { isPlatformError, sleep } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { type BlobStore, piecesOf, type StoredBlob } from '../blobs/index.ts';
import { hasBlob, markDamaged } from '../metadata/blobs.ts';
import type { StorageDatabase } from '../metadata/schema.ts';
import type { StorageMeters } from '../metrics.ts';
import type { DamageWatch } from './damage.ts';
import { leaseScrub } from './scrub-lease.ts';

/** How a scrub is done. */
export interface ScrubHow {
  /** Begin only where the last round ended so long ago, in milliseconds; at once where absent. */
  readonly everyMs?: number | undefined;
  /** How many bytes are read in a second at the most. */
  readonly rate?: number | undefined;
  /** Ends the scrub between two pieces; the next goes on with the blob that it was at. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each blob. */
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
  readonly damage: DamageWatch;
  readonly meters: Pick<StorageMeters, 'scrubbed'>;
  readonly rate: number | undefined;
}

/** So many rows are looked up at once. */
const PAGE_BLOBS = 100;
/** The position is written down this often, in milliseconds. */
const KEEP_MS = 5_000;

/**
 * Reads every blob and compares it with its digest: one that has other bytes is marked, and served to nobody; one that
 * was marked and is good again loses its mark. The position is kept in the database, so that a scrub that was cut goes on.
 * Rejects with `unavailable` where the store or the database does not answer, and with the reason of the signal.
 */
export async function scrubBlobs(scrub: Scrub): Promise<ScrubCounts> {
  const lease = await leaseScrub(scrub.database, scrub.everyMs ?? 0);
  const counts = { blobs: 0, bytes: 0, damaged: 0, healed: 0 };
  if (lease === undefined) return { ...counts, outcome: scrub.everyMs === undefined ? 'busy' : 'early' };
  const pace = scrub.rate === undefined ? undefined : pacer(scrub.rate, scrub.signal);
  let { position } = lease;
  let kept = performance.now();
  try {
    for await (const blob of blobsAfter(scrub, position)) {
      const found = await look(scrub, blob, async (bytes) => {
        await pace?.(bytes);
        if (performance.now() - kept < KEEP_MS) return;
        kept = performance.now();
        if (!(await lease.keep(position))) throw new Error('another process goes on with the scrub');
      });
      position = blob.digest;
      counts.blobs += 1;
      counts.bytes += found.bytes;
      if (found.damaged) counts.damaged += 1;
      if (found.healed) counts.healed += 1;
      scrub.progress?.({ ...counts, outcome: 'ended' });
    }
    await lease.finish();
    return { ...counts, outcome: 'ended' };
  } catch (error) {
    await lease.keep(position).catch(() => false);
    await lease.release().catch(() => {});
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
  { database, blobs, damage, meters, signal }: Scrub,
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
  if (wrong === undefined)
    return { bytes, damaged: false, healed: marked && (await markDamaged(database, digest, false)) };
  // What was deleted meanwhile is none of the damaged ones.
  if (!(await hasBlob(database.read, digest))) return { bytes, damaged: false, healed: false };
  await damage.report(digest, wrong);
  return { bytes, damaged: true, healed: false };
}

/** What a store says where bytes are lost, cut short, or cannot be read from the disk. */
function isDamage(error: unknown): error is Error {
  if (isPlatformError(error)) return isPlatformError(error, 'not_found', 'internal');
  return error instanceof Error && 'code' in error && error.code === 'EIO';
}

/** Below this, waiting is not worth a timer; in milliseconds. */
const LEAST_MS = 10;

/** Holds work back so that it handles `perSecond` bytes in a second at the most: call it after each piece. */
function pacer(perSecond: number, signal?: AbortSignal): (bytes: number) => Promise<void> {
  let due = performance.now();
  return async (bytes) => {
    const now = performance.now();
    // What was not used is not saved up.
    due = Math.max(due, now) + (bytes / perSecond) * 1000;
    if (due - now < LEAST_MS) return;
    await sleep(due - now, signal);
  };
}

/** How often it is asked whether a scrub is due; in milliseconds. */
const ASK_MS = 600_000;

/** Scrubs `everyMs` after the last scrub has ended, whichever process did it; one that was cut is gone on with. */
export function scrubLoop(scrub: (how: ScrubHow) => Promise<ScrubCounts>, everyMs: number, log: Log): Loop {
  return startLoop({
    name: 'scrub',
    everyMs: Math.min(ASK_MS, everyMs),
    log,
    work: async (signal) => {
      const { outcome, ...counts } = await scrub({ everyMs, signal });
      if (outcome === 'ended') log.info({ ...counts }, 'All blobs were read and compared with their digests');
    },
  });
}
