import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type BytesIn, PlatformError } from '@morpheo/common';
import { isMissing, writeError } from '../blobs/local/errors.ts';

/** The algorithms of `Upload-Checksum`; the protocol asks for SHA-1 at least (tus 1.0, "Checksum"). */
export const CHECKSUM_ALGORITHMS = ['sha1', 'sha256'] as const;

/** What the bytes of a chunk have to add up to. */
export interface Checksum {
  readonly hash: Hash;
  /** Throws `checksum_mismatch` where the bytes that `hash` was given are others. */
  check(): void;
}

/** Reads `Upload-Checksum`: an algorithm and a digest in Base64. Throws `invalid_request`. */
export function readChecksum(header: string | undefined): Checksum | undefined {
  if (header === undefined) return undefined;
  const [name, digest = ''] = header.split(' ');
  const algorithm = CHECKSUM_ALGORITHMS.find((one) => one === name);
  if (algorithm === undefined || !/^[\w+/]+=*$/.test(digest)) {
    throw new PlatformError(
      'invalid_request',
      `Upload-Checksum should be ${CHECKSUM_ALGORITHMS.join(' or ')}, a space, and the digest in Base64.`,
    );
  }
  const hash = createHash(algorithm);
  return {
    hash,
    check: () => {
      if (hash.digest('base64') === digest) return;
      throw new PlatformError(
        'checksum_mismatch',
        `The chunk does not have the ${algorithm} that came with it, and was thrown away: send it again.`,
      );
    },
  };
}

/** After so many bytes of one chunk what has come is synced and counted, so that a cut costs no more. */
const COUNT_EVERY_BYTES = 16 * 1024 * 1024;

/** A chunk, and where it belongs. */
export interface Chunk {
  readonly path: string;
  /** So many bytes are there already; what the file holds beyond them is dropped. */
  readonly from: number;
  /** The size that the file will have in the end. */
  readonly end: number;
  readonly body: BytesIn;
  readonly checksum: Checksum | undefined;
  /** Called with each count of bytes that are on disk to stay. */
  readonly synced: (received: number) => Promise<void>;
}

/**
 * Appends a chunk. `synced` is called once its bytes are on disk, before this resolves; where the body breaks off, of
 * what came before, unless a checksum was promised: then the chunk counts whole or not at all. Throws `too_large` for
 * bytes beyond the end, `checksum_mismatch`, `disk_full`, or the error of the body.
 */
export async function appendChunk(chunk: Chunk): Promise<void> {
  try {
    await using handle = await openAt(chunk.path, chunk.from);
    const written = { at: chunk.from, synced: chunk.from };
    const count = async () => {
      if (written.at === written.synced) return;
      await handle.datasync();
      await chunk.synced(written.at);
      written.synced = written.at;
    };
    try {
      await writePieces(handle, chunk, written, count);
    } catch (error) {
      // What failed is reported all the same; what came before it is not lost where the disk still takes it.
      if (chunk.checksum === undefined) await count().catch(() => {});
      throw error;
    }
    chunk.checksum?.check();
    await count();
  } catch (error) {
    throw writeError(error, 'keep the upload');
  }
}

async function writePieces(
  handle: FileHandle,
  { body, end, checksum }: Chunk,
  written: { at: number; readonly synced: number },
  count: () => Promise<void>,
): Promise<void> {
  if ((body.contentLength ?? 0) > end - written.at) throw tooMuch(end);
  for await (const piece of body.body) {
    if (written.at + piece.byteLength > end) throw tooMuch(end);
    await writeAll(handle, piece, written.at);
    checksum?.hash.update(piece);
    written.at += piece.byteLength;
    if (checksum === undefined && written.at - written.synced >= COUNT_EVERY_BYTES) await count();
  }
}

/** The size of a file in bytes; 0 where there is none. Throws `unavailable` where its folder cannot be read. */
export async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw writeError(error, 'keep the upload');
  }
}

/** Opens the file with exactly its first `size` bytes; at 0 it is made, to stay. */
async function openAt(path: string, size: number): Promise<FileHandle> {
  if (size === 0) await mkdir(dirname(path), { recursive: true, mode: 0o750 });
  const flags = size === 0 ? constants.O_RDWR | constants.O_CREAT : constants.O_RDWR;
  const handle = await open(path, flags, 0o640);
  try {
    await handle.truncate(size);
    if (size === 0) for (const folder of [dirname(path), dirname(dirname(path))]) await syncFolder(folder);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}

/** A disk may take less than it is given; the next try then says why. */
async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    done += (await handle.write(bytes, done, bytes.byteLength - done, at + done)).bytesWritten;
  }
}

function tooMuch(end: number): PlatformError {
  return new PlatformError('too_large', `The chunk goes beyond the ${end} bytes that were announced.`, {
    details: { limit: end },
  });
}
