import { PlatformError } from '@morpheo/common';

/** A line of text, by its number from 1; an error where it is too long, or no UTF-8. */
export interface Line {
  readonly line: number;
  readonly text: string | PlatformError;
}

const NEW_LINE = 0x0a;
const NOTHING: Buffer = Buffer.alloc(0);
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The lines of a body, some at a time: at most `most`, and not many more than `bytes`. Empty ones are left out. Of a line
 * of more than `lineBytes` nothing is kept.
 */
export async function* chunksOf(
  body: AsyncIterable<Uint8Array>,
  { most, bytes, lineBytes }: { readonly most: number; readonly bytes: number; readonly lineBytes: number },
): AsyncGenerator<Line[]> {
  const cut = new LineCutter(lineBytes);
  for await (const piece of body) {
    for (let at = 0; at < piece.byteLength; ) {
      at = cut.feed(piece, at, most, bytes);
      if (cut.lines.length >= most || cut.bytes >= bytes) yield cut.take();
    }
  }
  cut.end();
  if (cut.lines.length > 0) yield cut.take();
}

/** Cuts pieces of bytes into lines. */
class LineCutter {
  lines: Line[] = [];
  /** How many bytes the lines have. */
  bytes = 0;
  readonly #most: number;
  #line = 1;
  /** The beginning of a line whose end has not come, and room for more; undefined once it is longer than any may be. */
  #begun: Buffer | undefined = NOTHING;
  #size = 0;

  constructor(lineBytes: number) {
    this.#most = lineBytes;
  }

  /** Reads from a place of a piece, until there are enough lines; returns the place that was reached. */
  feed(piece: Uint8Array, from: number, most: number, bytes: number): number {
    let at = from;
    while (at < piece.byteLength && this.lines.length < most && this.bytes < bytes) {
      const end = piece.indexOf(NEW_LINE, at);
      if (end === -1) {
        this.#keep(piece.subarray(at));
        return piece.byteLength;
      }
      if (this.#size === 0) this.#add(piece.subarray(at, end));
      else {
        this.#keep(piece.subarray(at, end));
        this.end();
      }
      at = end + 1;
    }
    return at;
  }

  /** The line that has begun has ended. */
  end(): void {
    const begun = this.#begun;
    const size = this.#size;
    this.#begun = NOTHING;
    this.#size = 0;
    if (begun === undefined) this.#push(tooLong(this.#most), 0);
    else this.#add(begun.subarray(0, size));
  }

  /** The lines so far, which are forgotten. */
  take(): Line[] {
    const taken = this.lines;
    this.lines = [];
    this.bytes = 0;
    return taken;
  }

  /** Keeps a copy: a piece is good until the next one is asked for, and many small ones cost more than their bytes. */
  #keep(part: Uint8Array): void {
    const before = this.#size;
    this.#size += part.byteLength;
    if (this.#size > this.#most) this.#begun = undefined;
    if (this.#begun === undefined) return;
    if (this.#size > this.#begun.byteLength) {
      const grown = Buffer.allocUnsafe(Math.min(this.#most, 2 * this.#size));
      grown.set(this.#begun.subarray(0, before));
      this.#begun = grown;
    }
    this.#begun.set(part, before);
  }

  #add(bytes: Uint8Array): void {
    if (bytes.byteLength > this.#most) this.#push(tooLong(this.#most), 0);
    else this.#push(textOf(bytes), bytes.byteLength);
  }

  #push(text: Line['text'], bytes: number): void {
    const line = this.#line;
    this.#line += 1;
    if (typeof text === 'string' && text.trim() === '') return;
    this.lines.push({ line, text });
    this.bytes += bytes;
  }
}

function textOf(bytes: Uint8Array): Line['text'] {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    return new PlatformError('invalid_json', 'The line is no UTF-8.', { cause });
  }
}

function tooLong(most: number): PlatformError {
  return new PlatformError('too_large', `The line has more than ${most} bytes.`);
}
