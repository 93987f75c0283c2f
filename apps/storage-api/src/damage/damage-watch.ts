import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { StoredBlob } from '../blob-store/index.ts';
import type { StorageMeters } from '../meters.ts';
import type { DamagedBlobs } from './damaged-blobs.ts';
import { verifiedStream } from './verified-stream.ts';

/** Sees to it that damaged bytes are served to nobody. */
export interface DamageWatch {
  /** Throws `damaged`, which names the blob, where it is marked. */
  refuse(digest: string): Promise<void>;
  /** See {@link verifiedStream}; what it finds is {@link report}ed. */
  verified(blob: StoredBlob, source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array>;
  /**
   * Marks a blob that has other bytes than it should, logs it and counts it; resolves with the error to throw. Never
   * rejects: where the mark cannot be written, the next reader finds the damage again. `what`: what it has instead.
   */
  report(digest: string, what: string): Promise<PlatformError>;
}

/** Makes the {@link DamageWatch}. */
export function createDamageWatch(
  blobs: DamagedBlobs,
  { log, meters }: { readonly log: Log; readonly meters: Pick<StorageMeters, 'damaged'> },
): DamageWatch {
  async function report(digest: string, what: string): Promise<PlatformError> {
    try {
      if (await blobs.mark(digest)) meters.damaged();
      log.error({ digest, found: what }, 'A blob is damaged: nobody gets it before its bytes are good again');
    } catch (error) {
      log.error({ digest, found: what, error }, 'A blob is damaged, and could not be marked');
    }
    return damagedBlob(digest);
  }
  return {
    report,
    refuse: async (digest) => {
      if (await blobs.isDamaged(digest)) throw damagedBlob(digest);
    },
    verified: (blob, source) => verifiedStream(source, blob, (found) => report(blob.digest, found)),
  };
}

function damagedBlob(digest: string): PlatformError {
  return new PlatformError(
    'damaged',
    `The bytes of blob ${digest} are damaged in the store: upload them again, or bring them back from a backup.`,
    { details: { blob: digest } },
  );
}
