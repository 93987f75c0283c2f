import { createHash } from 'node:crypto';

/** What bytes are: their SHA-256 in lower-case hexadecimal, and how many. */
export interface Measured {
  readonly digest: string;
  readonly size: number;
}

/** What the first part begins with: most objects are small. */
const FIRST_BYTES = 64 * 1024;
/** So much is digested at once: large enough that calls do not count, small enough to stay unnoticed. */
const BLOCK_BYTES = 512 * 1024;

/** Fills one part after the other with the bytes of an object, and digests them on the way. */
export class PartFiller {
  readonly #partBytes: number;
  readonly #memory: PartMemory;
  readonly #hash = createHash('sha256');
  #part: Buffer<ArrayBuffer>;
  #filled = 0;
  #hashed = 0;
  #size = 0;

  constructor(partBytes: number, memory: PartMemory) {
    this.#partBytes = partBytes;
    this.#memory = memory;
    this.#part = memory.take(Math.min(FIRST_BYTES, partBytes));
  }

  /** Copies as much of a piece as the part has room for, and says how much that was: 0 where it is full. */
  take(piece: Uint8Array): number {
    if (this.#filled === this.#part.byteLength && this.#filled < this.#partBytes) this.#grow();
    const taken = piece.subarray(0, this.#part.byteLength - this.#filled);
    this.#part.set(taken, this.#filled);
    this.#filled += taken.byteLength;
    this.#size += taken.byteLength;
    if (this.#filled - this.#hashed >= BLOCK_BYTES) this.#digest();
    return taken.byteLength;
  }

  /** Hands out what the part holds, for the caller to give its memory back, and begins the next. */
  cut(): FilledPart {
    this.#digest();
    const part = { bytes: this.#part.subarray(0, this.#filled), memory: this.#part };
    this.#part = this.#memory.take(this.#partBytes);
    this.#filled = 0;
    this.#hashed = 0;
    return part;
  }

  /** Ends the bytes: what they were, and their last part. */
  end(): { readonly measured: Measured; readonly part: FilledPart } {
    this.#digest();
    const part = { bytes: this.#part.subarray(0, this.#filled), memory: this.#part };
    return { measured: { digest: this.#hash.digest('hex'), size: this.#size }, part };
  }

  #digest(): void {
    this.#hash.update(this.#part.subarray(this.#hashed, this.#filled));
    this.#hashed = this.#filled;
  }

  #grow(): void {
    const before = this.#part;
    this.#part = this.#memory.take(Math.min(4 * before.byteLength, this.#partBytes));
    this.#part.set(before);
    this.#memory.give(before);
  }
}

/** A part of an object: its bytes, and the memory that they lie in. */
export interface FilledPart {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly memory: Buffer<ArrayBuffer>;
}

/**
 * The memory of the parts of one upload, used again and again, and given back at its end: else it piles up until the
 * collector comes round.
 */
export class PartMemory implements Disposable {
  readonly #partBytes: number;
  readonly #spare: Buffer<ArrayBuffer>[] = [];

  /** `partBytes` is the size of a full part. */
  constructor(partBytes: number) {
    this.#partBytes = partBytes;
  }

  /** Memory for `bytes` bytes; what is in it is undefined. */
  take(bytes: number): Buffer<ArrayBuffer> {
    const spare = bytes === this.#partBytes ? this.#spare.pop() : undefined;
    return spare ?? Buffer.allocUnsafeSlow(bytes);
  }

  /** Takes memory back that nobody reads any more. */
  give(memory: Buffer<ArrayBuffer>): void {
    if (memory.byteLength === this.#partBytes) this.#spare.push(memory);
    else memory.buffer.transfer(0);
  }

  [Symbol.dispose](): void {
    for (const { buffer } of this.#spare.splice(0)) buffer.transfer(0);
  }
}
