import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { errnoOf } from '@morpheo/common';
import { ArchiveError } from './header.ts';

/** The first bytes of files that people take for a `.tar.gz`, as Latin-1; `tar` has its mark further on. */
const FORMATS: readonly (readonly [at: number, mark: string, what: string])[] = [
  [0, 'PK\x03\x04', 'a zip archive'],
  [0, 'PK\x05\x06', 'an empty zip archive'],
  [0, 'BZh', 'compressed with bzip2'],
  [0, '\xfd7zXZ\0', 'compressed with xz'],
  [0, '(\xb5/\xfd', 'compressed with zstd'],
  [0, '7z\xbc\xaf\x27\x1c', 'a 7z archive'],
  [0, 'Rar!\x1a\x07', 'a rar archive'],
  [0, '\x1f\x9d', 'compressed with compress'],
  [0, '\x04"M\x18', 'compressed with lz4'],
  [257, 'ustar', 'a plain tar archive'],
];

const HEAD_BYTES = 512;

/**
 * What is compressed with gzip, inflated as it is read. Throws {@link ArchiveError} where it is something else, which is
 * named, or damaged; what the source throws; and what stands for the abort of the signal.
 */
export async function* gunzipped(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  let head = Buffer.alloc(0);
  async function* noted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      if (head.byteLength < HEAD_BYTES) head = Buffer.concat([head, chunk.subarray(0, HEAD_BYTES)]);
      yield chunk;
    }
  }
  const gunzip = createGunzip();
  const inflating = pipeline(noted(), gunzip, { signal });
  inflating.catch(() => undefined);
  let isInflated = false;
  try {
    for await (const chunk of gunzip) {
      isInflated = true;
      yield chunk;
    }
  } catch (error) {
    throw explained(error, isInflated, head);
  } finally {
    gunzip.destroy();
  }
}

/** That an archive cannot be read, with what is expected in its place; `how` follows "for". */
export function damaged(how: string, compressed = true, cause?: unknown): ArchiveError {
  const remedy = compressed
    ? 'a .tar.gz is expected, as tar -czf NAME.tar.gz -C FOLDER . makes one'
    : 'a .tar is expected, as tar -cf NAME.tar -C FOLDER . makes one';
  return new ArchiveError(`The archive cannot be read, for ${how}: ${remedy}.`, undefined, cause);
}

function explained(error: unknown, isInflated: boolean, head: Buffer): unknown {
  const code = errnoOf(error) ?? '';
  if (!code.startsWith('Z_')) return error;
  if (code === 'Z_BUF_ERROR') return damaged('its end is missing', true, error);
  if (isInflated) return damaged('its compressed bytes are broken', true, error);
  const text = head.toString('latin1');
  const format = FORMATS.find(([at, mark]) => text.startsWith(mark, at))?.[2];
  const what = format === undefined ? '' : `${format}, `;
  return damaged(`it is ${what}not compressed with gzip`, true, error);
}
