import { createHash } from 'node:crypto';
import type { StoredBlob } from '../blob-store/index.ts';

/** How much a reader without memory of its own is given at once. */
const PIECE_BYTES = 256 * 1024;

/**
 * The bytes of a whole blob, hashed as they go by. The last of them are held back until all are known to be those that
 * the blob's name says; where they are not, the stream fails with what `damaged` resolves with, so that nobody has them
 * all. `damaged` is told what was found instead. Whoever gets the stream reads it to its end or cancels it.
 */
export function verifiedStream(
  source: ReadableStream<Uint8Array>,
  { digest, size }: StoredBlob,
  damaged: (found: string) => Promise<Error>,
): ReadableStream<Uint8Array> {
  const reader = source.getReader({ mode: 'byob' });
  const hash = createHash('sha256');
  let at = 0;
  let checked = false;
  const check = async (): Promise<void> => {
    checked = true;
    const found = hash.digest('hex');
    if (found !== digest) throw await damaged(`the SHA-256 ${found}`);
  };
  return new ReadableStream({
    // A reader may bring memory of its own, and use it again and again.
    type: 'bytes',
    autoAllocateChunkSize: PIECE_BYTES,
    async pull(controller) {
      const request = controller.byobRequest;
      if (!(request?.view instanceof Uint8Array))
        throw new TypeError('a stream that allocates has a request');
      try {
        // The memory of whoever reads goes on to the source, and comes back filled: nothing is copied.
        const { done, value } = await reader.read(request.view);
        if (value === undefined) throw new TypeError('nobody else cancels the source');
        at += value.byteLength;
        if (at > size || (done && at < size)) throw await damaged(`${done ? at : `more than ${size}`} bytes`);
        if (value.byteLength > 0) hash.update(value);
        if (at === size && !checked) await check();
        if (done) controller.close();
        request.respondWithNewView(value);
      } catch (error) {
        await reader.cancel(error).catch(() => {});
        throw error;
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
