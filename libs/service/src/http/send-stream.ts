import type { ServerResponse } from 'node:http';
import { PlatformError } from '@morpheo/common';

const MEMORY_BYTES = 256 * 1024;

/**
 * Sends a stream of bytes and ends the answer, no faster than the client reads, in fixed memory: of two pieces one is
 * sent while the other is read. Throws what the stream throws, and `cancelled` when the client goes away; the stream is
 * cancelled then.
 */
export async function sendStream(reader: ReadableStreamBYOBReader, response: ServerResponse): Promise<void> {
  const spare = [new ArrayBuffer(MEMORY_BYTES), new ArrayBuffer(MEMORY_BYTES)];
  let sending: Promise<void> = Promise.resolve();
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(spare.pop() ?? new ArrayBuffer(MEMORY_BYTES)));
      await sending;
      if (done) break;
      sending = sent(response, value).then(() => void spare.push(value.buffer));
      sending.catch(() => {});
    }
  } catch (error) {
    // A connection that is cut in the middle tells the client that this was not all.
    response.destroy();
    await reader.cancel(error).catch(() => {});
    throw error;
  }
  response.end();
}

/** A reader that brings its own memory, where the stream can read into it (WHATWG Streams §4.7). */
export function readerWithMemory(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: 'byob' });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Resolves when a piece has left this process, so that its memory may be used again. */
function sent(response: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new PlatformError('cancelled', 'The client closed the connection.'));
    response.once('close', onClose);
    response.write(piece, (error) => {
      response.off('close', onClose);
      if (error) onClose();
      else resolve();
    });
    if (response.destroyed) onClose();
  });
}
