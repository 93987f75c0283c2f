import { damaged } from './gunzip.ts';

/** Bytes that come in chunks of any size, taken in pieces of the size that is asked for. */
export class Bytes {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #compressed: boolean;
  #rest: Uint8Array = Buffer.alloc(0);
  #position = 0;

  /** `compressed` says what the archive should have been, where it is broken. */
  constructor(chunks: AsyncIterable<Uint8Array>, compressed: boolean) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#compressed = compressed;
  }

  /** How many have been taken. */
  get position(): number {
    return this.#position;
  }

  /** What is there next, at least one byte; undefined at the end. */
  async any(): Promise<Uint8Array | undefined> {
    while (this.#rest.byteLength === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#rest = next.value;
    }
    const rest = this.#rest;
    this.#rest = rest.subarray(rest.byteLength);
    this.#position += rest.byteLength;
    return rest;
  }

  /** At least one and at most so many. Throws {@link ArchiveError} at the end. */
  async some(most: number): Promise<Uint8Array> {
    const piece = await this.any();
    if (piece === undefined) throw damaged('it is not a tar archive, or not a whole one', this.#compressed);
    this.#giveBack(piece.subarray(most));
    return piece.subarray(0, most);
  }

  /** Exactly so many; undefined where the end is here. Throws {@link ArchiveError} where it comes before. */
  async take(count: number): Promise<Buffer | undefined> {
    const first = await this.any();
    if (first === undefined) return undefined;
    this.#giveBack(first);
    const taken = Buffer.alloc(count);
    for (let filled = 0; filled < count; ) {
      const piece = await this.some(count - filled);
      taken.set(piece, filled);
      filled += piece.byteLength;
    }
    return taken;
  }

  #giveBack(rest: Uint8Array): void {
    this.#rest = rest;
    this.#position -= rest.byteLength;
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) left -= (await this.some(left)).byteLength;
  }
}
