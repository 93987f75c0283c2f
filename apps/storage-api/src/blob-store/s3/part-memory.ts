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
