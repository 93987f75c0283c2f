import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { ByteRange } from '../blob-store.ts';

/** How much is read at once. */
const PIECE_BYTES = 256 * 1024;

/**
 * Opens a file and streams it, or the part `range` of it, in pieces that are read when they are asked for.
 * Rejects with the file system's error where it cannot be opened, and with `internal` where it is shorter than
 * `range` says; the stream fails likewise should it be cut short meanwhile. The file is closed at the end, on an error
 * and on cancel.
 */
export async function readFileStream(path: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const { start, end } = range ?? { start: 0, end: size - 1 };
    if (end >= size) throw tooShort(path, size, end);
    return streamOf(handle, path, start, end);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function streamOf(handle: FileHandle, path: string, start: number, end: number): ReadableStream<Uint8Array> {
  let position = start;
  return new ReadableStream({
    // A reader may bring memory of its own, and use it again and again.
    type: 'bytes',
    autoAllocateChunkSize: PIECE_BYTES,
    async start(controller) {
      if (start <= end) return;
      await handle.close();
      controller.close();
      // A reader who brought memory and waits already is told too.
      controller.byobRequest?.respond(0);
    },
    async pull(controller) {
      const view = controller.byobRequest?.view;
      if (!(view instanceof Uint8Array)) throw new TypeError('a stream that allocates always has a request');
      try {
        const wanted = Math.min(view.byteLength, end - position + 1);
        const { bytesRead } = await handle.read(view, 0, wanted, position);
        if (bytesRead === 0) throw tooShort(path, position, end);
        position += bytesRead;
        if (position > end) await handle.close();
        controller.byobRequest?.respond(bytesRead);
        if (position > end) controller.close();
      } catch (error) {
        await handle.close();
        throw error;
      }
    },
    cancel: () => handle.close(),
  });
}

function tooShort(path: string, size: number, end: number): PlatformError {
  return new PlatformError(
    'internal',
    `The file of blob ${basename(path)} has ${size} bytes and should have at least ${end + 1}: it was damaged on disk.`,
  );
}
