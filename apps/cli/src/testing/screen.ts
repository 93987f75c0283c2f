import { Writable } from 'node:stream';

/** A stream of output that keeps what is written, and tells when something was. */
export class Screen extends Writable {
  readonly isTTY: boolean;
  readonly columns = 120;
  #text = '';
  readonly #chunks: Uint8Array[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(options: { readonly isTTY?: boolean } = {}) {
    super();
    this.isTTY = options.isTTY ?? false;
  }

  /** All that was written so far. */
  get text(): string {
    return this.#text;
  }

  /** The same as bytes. */
  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  /** Resolves when what was written holds `wanted`. */
  async until(wanted: string): Promise<void> {
    while (!this.#text.includes(wanted)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
      this.#waiting.delete(resolve);
    }
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#chunks.push(chunk);
    this.#text += Buffer.from(chunk).toString('utf8');
    for (const wake of this.#waiting) wake();
    done();
  }
}
