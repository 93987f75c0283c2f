import { PlatformError } from '@morpheo/common';
import type { OutputChunk } from '../../index.ts';

const HEADER = 8;

/**
 * What a container without a terminal prints, taken apart: its two streams come as one, in frames of 8 bytes (which
 * stream, three zeros, the length as a big-endian 32 bit number) and content. Nothing is held back and nothing is
 * read ahead: a chunk is what has come of a frame, and the next is read when it is asked for.
 *
 * Throws what `source` throws, and `unavailable` where it holds no such frames or ends within one.
 * Source: Docker Engine API, "Attach to a container", stream format.
 */
export async function* readFrames(source: AsyncIterable<unknown>): AsyncGenerator<OutputChunk> {
  const header = Buffer.alloc(HEADER);
  let headerBytes = 0;
  let left = 0;
  for await (const piece of source) {
    if (!(piece instanceof Uint8Array)) throw broken('is no stream of bytes');
    for (let at = 0; at < piece.byteLength; ) {
      if (left > 0) {
        const bytes = piece.subarray(at, at + left);
        left -= bytes.byteLength;
        at += bytes.byteLength;
        yield { stream: streamOf(header), bytes };
        continue;
      }
      const part = piece.subarray(at, at + HEADER - headerBytes);
      header.set(part, headerBytes);
      at += part.byteLength;
      headerBytes = (headerBytes + part.byteLength) % HEADER;
      if (headerBytes === 0) {
        streamOf(header);
        left = header.readUInt32BE(4);
      }
    }
  }
  if (left > 0 || headerBytes > 0) throw broken('ended within a frame');
}

/** 0 is what was written to its stdin, if it is echoed: no run has one. */
function streamOf(header: Buffer): OutputChunk['stream'] {
  if (header[0] === 1) return 'stdout';
  if (header[0] === 2) return 'stderr';
  throw broken(`has a frame of the unknown stream ${header[0]}`);
}

function broken(how: string): PlatformError {
  return new PlatformError('unavailable', `The output of a container, as Docker sends it, ${how}.`);
}
