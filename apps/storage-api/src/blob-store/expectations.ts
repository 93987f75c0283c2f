import { PlatformError } from '@morpheo/common';
import type { PutOptions, StoredBlob } from './blob-store.ts';

/** Throws `too_large` where `size` bytes are more than are taken. */
export function checkRoom(size: number, { limit }: Pick<PutOptions, 'limit'>): void {
  if (limit === undefined || size <= limit) return;
  throw new PlatformError('too_large', `The blob is larger than the ${limit} bytes that are taken.`, {
    details: { limit },
  });
}

/** Throws `digest_mismatch` where a blob is not what was promised. */
export function checkExpectations(blob: StoredBlob, expected: Pick<PutOptions, 'digest' | 'size'>): void {
  if (expected.size !== undefined && expected.size !== blob.size) {
    throw new PlatformError(
      'digest_mismatch',
      `The blob should have ${expected.size} bytes and has ${blob.size}: send it again, or correct its size.`,
    );
  }
  if (expected.digest !== undefined && expected.digest !== blob.digest) {
    throw new PlatformError(
      'digest_mismatch',
      `The blob should have the SHA-256 ${expected.digest} and has ${blob.digest}: send it again.`,
    );
  }
}
