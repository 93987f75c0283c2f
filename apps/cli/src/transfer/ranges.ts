import { type BytesOut, PlatformError } from '@morpheo/common';

/** The size of a part that is asked for by itself. */
const PART_BYTES = 4 * 1024 * 1024;
/** So many parts are on their way at once. All but the first of them wait in memory for those before. */
const AT_ONCE = 4;

/** Fetches bytes from `start` to `end`, both inclusive; what came is told by the answer. */
export type OpenRange = (start: number, end: number, signal: AbortSignal) => Promise<BytesOut>;

/**
 * The bytes from `from` on to the end of `size`, in their order, fetched in parts of which several are on their way at
 * once. Null where the answer to the first part is not that part: then it is handed to `otherwise`. Throws what `open`
 * throws, and `unavailable` where an answer ends early; what was yielded before then is right.
 */
export async function* readRanges(
  open: OpenRange,
  from: number,
  size: number,
  signal: AbortSignal,
  otherwise: (answer: BytesOut) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const endOf = (start: number) => Math.min(start + PART_BYTES, size) - 1;
  try {
    const first = await open(from, endOf(from), both);
    if (first.status !== 206) return yield* otherwise(first);
    const ahead: Promise<Uint8Array[]>[] = [];
    let next = endOf(from) + 1;
    const fill = () => {
      for (; ahead.length < AT_ONCE - 1 && next < size; next = endOf(next) + 1) {
        const part = readPart(open, next, endOf(next), both);
        part.catch(() => {});
        ahead.push(part);
      }
    };
    fill();
    yield* whole(first, endOf(from) - from + 1);
    for (let part = ahead.shift(); part !== undefined; part = ahead.shift()) {
      fill();
      yield* await part;
    }
  } finally {
    stop.abort(new Error('nothing more is read'));
  }
}

async function readPart(
  open: OpenRange,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const answer = await open(start, end, signal);
  if (answer.status !== 206) {
    await answer.body?.cancel();
    throw endedEarly();
  }
  return await Array.fromAsync(whole(answer, end - start + 1));
}

/** The bytes of an answer, which has to have so many. */
async function* whole({ body }: BytesOut, bytes: number): AsyncGenerator<Uint8Array> {
  let came = 0;
  for await (const chunk of body ?? []) {
    came += chunk.byteLength;
    yield chunk;
  }
  if (came !== bytes) throw endedEarly();
}

/** What is thrown where an answer has fewer bytes than were asked for. */
export function endedEarly(): PlatformError {
  return new PlatformError('unavailable', 'the answer ended early');
}
