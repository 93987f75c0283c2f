import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

const BLOCK_BYTES = 1 << 20;

/** Writes a new file of so many MiB that is like no other, syncs it, and returns its SHA-256. */
export async function writeSource(file: string, mib: number): Promise<string> {
  const hash = createHash('sha256');
  const block = randomBytes(BLOCK_BYTES);
  await using handle = await open(file, 'wx');
  for (let count = 0; count < mib; count++) {
    block.writeUInt32LE(count);
    hash.update(block);
    await handle.writeFile(block);
  }
  await handle.sync();
  return hash.digest('hex');
}

/** The plain tool: reads a file block by block into a new one, and syncs that, as `dd bs=1M conv=fsync` does. */
export async function copySynced(from: string, to: string): Promise<void> {
  await using source = await open(from);
  await using target = await open(to, 'wx');
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  for (;;) {
    const { bytesRead } = await source.read(block);
    if (bytesRead === 0) break;
    await target.writeFile(block.subarray(0, bytesRead));
  }
  await target.sync();
}

/** Writes bytes as they come into a new file, and syncs it. Returns their SHA-256. */
export async function saveSynced(bytes: AsyncIterable<Uint8Array>, to: string): Promise<string> {
  const hash = createHash('sha256');
  const hashed = async function* () {
    for await (const piece of bytes) {
      hash.update(piece);
      yield piece;
    }
  };
  await pipeline(hashed, createWriteStream(to, { flags: 'wx', flush: true, highWaterMark: 4 * BLOCK_BYTES }));
  return hash.digest('hex');
}

/** The SHA-256 of a file. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file, { highWaterMark: BLOCK_BYTES }))
    hash.update(piece as Buffer);
  return hash.digest('hex');
}
