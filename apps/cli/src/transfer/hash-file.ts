import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Feeds a file into `hash`, at most its first `bytes` where given; never held whole. */
export async function hashInto(
  hash: Hash,
  path: string,
  signal: AbortSignal,
  bytes = Number.POSITIVE_INFINITY,
) {
  if (bytes === 0) return;
  for await (const chunk of createReadStream(path, { end: bytes - 1, highWaterMark: 1 << 20, signal })) {
    hash.update(chunk as Uint8Array);
  }
}

/** The SHA-256 of a file, in lower-case hexadecimal. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await hashInto(hash, path, signal);
  return hash.digest('hex');
}
