import type { Progress } from '../terminal/progress.ts';

/** Hands bytes on as they come, and counts them in `progress`. */
export async function* measured(
  source: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    progress.add(chunk.byteLength);
    yield chunk;
  }
}
