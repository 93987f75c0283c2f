import type { ServerResponse } from 'node:http';
import { PlatformError } from '@morpheo/common';

const MEMORY_BYTES = 256 * 1024;

/** A reader that brings its own memory, where the stream can read into it (WHATWG Streams §4.7). */
export function readerWithMemory(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: 'byob' });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/**
 * Sends a stream of bytes and ends the answer, no faster than the client reads, in fixed memory: of two pieces one is
 * sent while the other is read. Throws what the stream throws, and `cancelled` when the client goes away; the stream is
 * cancelled then, even while it waits.
 */
export async function sendStream(reader: ReadableStreamBYOBReader, response: ServerResponse): Promise<void> {
  const stop = () => void reader.cancel().catch(() => {});
  response.once('close', stop);
  try {
    await sendInTurn(reader, response);
    if (response.destroyed) throw gone();
    response.end();
  } catch (error) {
    // A connection that is cut in the middle tells the client that this was not all.
    response.destroy();
    stop();
    throw error;
  }
}

async function sendInTurn(reader: ReadableStreamBYOBReader, response: ServerResponse): Promise<void> {
  const spare = [new ArrayBuffer(MEMORY_BYTES)];
  let memory = new ArrayBuffer(MEMORY_BYTES);
  let sending: Promise<void> = Promise.resolve();
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(memory));
    await sending;
    if (done) return;
    sending = sent(response, value).then(() => void spare.push(value.buffer));
    sending.catch(() => {});
    memory = spare.pop() ?? new ArrayBuffer(MEMORY_BYTES);
  }
}

/** Resolves when a piece has left this process, so that its memory may be used again. */
function sent(response: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(gone());
    response.once('close', onClose);
    response.write(piece, (error) => {
      response.off('close', onClose);
      if (error) onClose();
      else resolve();
    });
    if (response.destroyed) onClose();
  });
}

function gone(): PlatformError {
  return new PlatformError('cancelled', 'The client closed the connection.');
}
