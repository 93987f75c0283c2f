/** What is thrown where the source ends before what was looked for. */
export class UnexpectedEnd extends Error {
  override name = 'UnexpectedEnd';
}

const WINDOW_BYTES = 128 * 1024;

/**
 * Reads a source up to marks in it, through a window of fixed memory. Pieces that it hands out lie in that window: they
 * are good until the next one is asked for.
 */
export class ByteWindow {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #release: ((piece: Uint8Array) => void) | undefined;
  readonly #memory = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  /** What was read and not handed out yet: `[start, end)` of the memory, and what did not fit. */
  #start = 0;
  #end = 0;
  #piece: Uint8Array = new Uint8Array();
  #copied = 0;

  /** `release` is told of each piece of the source that is copied and no longer needed. */
  constructor(source: AsyncIterable<Uint8Array>, release?: (piece: Uint8Array) => void) {
    this.#source = source[Symbol.asyncIterator]();
    this.#release = release;
  }

  /** Hands out what comes before `mark` (shorter than the window) and goes behind it; throws {@link UnexpectedEnd}. */
  async *until(mark: Buffer): AsyncGenerator<Buffer> {
    for (;;) {
      const view = this.#memory.subarray(this.#start, this.#end);
      const found = view.indexOf(mark);
      // The end of what is known may be the beginning of the mark.
      const certain = found === -1 ? Math.max(0, view.length - mark.length + 1) : found;
      this.#start += found === -1 ? certain : certain + mark.length;
      if (certain > 0) yield view.subarray(0, certain);
      if (found !== -1) return;
      if (!(await this.#more())) throw new UnexpectedEnd();
    }
  }

  /** The next `count` bytes, or what there is of them before the end; they are not gone past. */
  async peek(count: number): Promise<Buffer> {
    while (this.#end - this.#start < count && (await this.#more()));
    return this.#memory.subarray(this.#start, Math.min(this.#end, this.#start + count));
  }

  /** Goes past `count` bytes that were seen. */
  skip(count: number): void {
    this.#start += count;
  }

  /** Reads on to the end of the source and drops what comes, about `most` bytes at the most. */
  async discard(most: number): Promise<void> {
    let dropped = 0;
    do {
      dropped += this.#end - this.#start;
      this.#start = this.#end;
    } while (dropped < most && (await this.#more()));
  }

  /** Tells the source to stop, and does not wait for it: it may be stalled. */
  close(): void {
    this.#source.return?.().then(undefined, () => {});
  }

  /** Reads on; false at the end of the source. */
  async #more(): Promise<boolean> {
    while (this.#copied === this.#piece.byteLength) {
      if (this.#copied > 0) this.#release?.(this.#piece);
      const { done, value } = await this.#source.next();
      this.#piece = done === true ? new Uint8Array() : value;
      this.#copied = 0;
      if (done === true) return false;
    }
    this.#memory.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    const room = this.#memory.length - this.#end;
    const part = this.#piece.subarray(this.#copied, this.#copied + room);
    this.#memory.set(part, this.#end);
    this.#end += part.byteLength;
    this.#copied += part.byteLength;
    return true;
  }
}
