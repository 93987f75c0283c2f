import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { checkLimit, checkPromised, type ReceiveOptions, type StoredBlob } from '../blob-store.ts';
import { BlockWriter } from './block-writer.ts';

/**
 * Writes `source` into the new file `path`, digesting it on the way, and syncs it: what is returned is on disk.
 * Two blocks of memory are all it takes: while one is being written the other is filled.
 * Throws `too_large` and `digest_mismatch` as `options` ask, the source's error, or the disk's. The file is closed,
 * and left to the caller, in every case.
 */
export async function writeStagedFile(
  path: string,
  source: AsyncIterable<Uint8Array>,
  options: ReceiveOptions,
): Promise<StoredBlob> {
  await using handle = await open(path, 'wx', 0o640);
  const hash = createHash('sha256');
  await using writer = new BlockWriter(handle, 0, (bytes) => hash.update(bytes));
  let size = 0;
  for await (const piece of source) {
    size += piece.byteLength;
    checkLimit(size, options);
    await writer.write(piece);
  }
  await writer.flush();
  const blob = { digest: hash.digest('hex'), size };
  checkPromised(blob, options);
  await handle.datasync();
  return blob;
}
