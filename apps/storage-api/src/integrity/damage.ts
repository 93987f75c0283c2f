import { createHash } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { StoredBlob } from '../blobs/index.ts';
import { isDamaged, markDamaged } from '../metadata/blobs.ts';
import type { StorageDatabase } from '../metadata/schema.ts';
import type { StorageMeters } from '../metrics.ts';

/** Sees to it that damaged bytes are served to nobody. */
export interface DamageWatch {
  /** Throws `damaged`, which names the blob, where it is marked. */
  refuse(digest: string): Promise<void>;
  /** See {@link verifiedStream}; what it finds is {@link report}ed of the blob `of` which these bytes are a part, or all. */
  verified(bytes: StoredBlob, source: ReadableStream<Uint8Array>, of?: string): ReadableStream<Uint8Array>;
  /**
   * Marks a blob that has other bytes than it should, logs it and counts it; resolves with the error to throw. Never
   * rejects: where the mark cannot be written, the next reader finds the damage again. `found`: what it has instead.
   */
  report(digest: string, found: string): Promise<PlatformError>;
}

/** Makes the {@link DamageWatch}. */
export function createDamageWatch(
  database: StorageDatabase,
  { log, meters }: { readonly log: Log; readonly meters: Pick<StorageMeters, 'damaged'> },
): DamageWatch {
  async function report(digest: string, found: string): Promise<PlatformError> {
    try {
      if (await markDamaged(database, digest, true)) meters.damaged();
      log.error({ digest, found }, 'A blob is damaged: nobody gets it before its bytes are good again');
    } catch (error) {
      log.error({ digest, found, error }, 'A blob is damaged, and could not be marked');
    }
    return damagedBlob(digest);
  }
  return {
    report,
    refuse: async (digest) => {
      if (await isDamaged(database.read, digest)) throw damagedBlob(digest);
    },
    verified: (bytes, source, of = bytes.digest) =>
      verifiedStream(source, bytes, (found) => report(of, found)),
  };
}

function damagedBlob(digest: string): PlatformError {
  return new PlatformError(
    'damaged',
    `The bytes of blob ${digest} are damaged in the store: upload them again, or bring them back from a backup.`,
    { details: { blob: digest } },
  );
}

/** How much a reader without memory of its own is given at once. */
const PIECE_BYTES = 256 * 1024;

/**
 * Bytes whose digest is known, hashed as they go by. The last of them are held back until all are known to be those that
 * it says; where they are not, the stream fails with what `damaged` resolves with, so that nobody has them
 * all. `damaged` is called with what was found instead. Whoever gets the stream reads it to its end or cancels it.
 */
function verifiedStream(
  source: ReadableStream<Uint8Array>,
  { digest, size }: StoredBlob,
  damaged: (found: string) => Promise<Error>,
): ReadableStream<Uint8Array> {
  const reader = source.getReader({ mode: 'byob' });
  const hash = createHash('sha256');
  let at = 0;
  let checked = false;
  const check = async (): Promise<void> => {
    checked = true;
    const found = hash.digest('hex');
    if (found !== digest) throw await damaged(`the SHA-256 ${found}`);
  };
  return new ReadableStream({
    // A reader may bring memory of its own, and use it again and again.
    type: 'bytes',
    autoAllocateChunkSize: PIECE_BYTES,
    async pull(controller) {
      const request = controller.byobRequest;
      if (!(request?.view instanceof Uint8Array))
        throw new TypeError('a stream that allocates has a request');
      try {
        // The memory of whoever reads goes on to the source, and comes back filled: nothing is copied.
        const { done, value } = await reader.read(request.view);
        if (value === undefined) throw new TypeError('nobody else cancels the source');
        at += value.byteLength;
        if (at > size || (done && at < size)) throw await damaged(`${done ? at : `more than ${size}`} bytes`);
        if (value.byteLength > 0) hash.update(value);
        if (at === size && !checked) await check();
        if (done) controller.close();
        request.respondWithNewView(value);
      } catch (error) {
        await reader.cancel(error).catch(() => {});
        throw error;
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
