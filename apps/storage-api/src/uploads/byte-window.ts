/** What is thrown where the source ends before what was looked for. */
export class UnexpectedEnd extends Error {
  override name = 'UnexpectedEnd';
}

/**
 * Reads a source up to marks in it, in the memory of the source's own pieces as far as a mark cannot lie across two of
 * them. Pieces that it hands out are good until the next one is asked for, and so need those of the source be.
 */
export class ByteWindow {
  readonly #source: AsyncIterator<Uint8Array>;
  /** What was read and not handed out yet. */
  #view: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Hands out what comes before `mark` and goes behind it; throws {@link UnexpectedEnd}. */
  async *until(mark: Buffer): AsyncGenerator<Buffer> {
    for (;;) {
      const view = this.#view;
      const found = view.indexOf(mark);
      const certain = found === -1 ? view.length - startOf(mark, view) : found;
      this.#view = view.subarray(found === -1 ? certain : certain + mark.length);
      if (certain > 0) yield view.subarray(0, certain);
      if (found !== -1) return;
      if (!(await this.#more())) throw new UnexpectedEnd();
    }
  }

  /** The next `count` bytes, or what there is of them before the end; they are not gone past. */
  async peek(count: number): Promise<Buffer> {
    while (this.#view.length < count && (await this.#more()));
    return this.#view.subarray(0, count);
  }

  /** Goes past `count` bytes that were seen. */
  skip(count: number): void {
    this.#view = this.#view.subarray(count);
  }

  /** Reads on to the end of the source and drops what comes, about `most` bytes at the most. */
  async discard(most: number): Promise<void> {
    let dropped = 0;
    do {
      dropped += this.#view.length;
      this.#view = this.#view.subarray(this.#view.length);
    } while (dropped < most && (await this.#more()));
  }

  /** Tells the source to stop, and does not wait for it: it may be stalled. */
  close(): void {
    this.#source.return?.().then(undefined, () => {});
  }

  /** Reads on; false at the end of the source. */
  async #more(): Promise<boolean> {
    // A copy, since the memory that it lies in is the source's again with the next piece.
    const rest = Buffer.from(this.#view);
    this.#view = rest;
    const { done, value } = await this.#source.next();
    if (done === true) return false;
    const piece = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    this.#view = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    return true;
  }
}

/** How many bytes at the end of `view` may be the beginning of `mark`, of which it has none whole. */
function startOf(mark: Buffer, view: Buffer): number {
  const first = mark[0] ?? 0;
  const from = Math.max(0, view.length - mark.length + 1);
  for (let at = view.indexOf(first, from); at !== -1; at = view.indexOf(first, at + 1)) {
    const count = view.length - at;
    if (mark.compare(view, at, view.length, 0, count) === 0) return count;
  }
  return 0;
}
