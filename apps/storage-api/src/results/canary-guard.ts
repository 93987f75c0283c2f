import { once } from 'node:events';
import { createGunzip, type Gunzip } from 'node:zlib';
import { CanarySearch, type CanaryStream } from '@morpheo/common';

/**
 * Looks for canaries in the bytes of a result while they pass, as they are and, where they are gzip, unpacked: models are
 * packed. It keeps nothing of them.
 */
export class CanaryGuard implements AsyncDisposable {
  readonly #whole: CanaryStream;
  readonly #unpacked: CanaryStream;
  readonly #gunzip: Gunzip = createGunzip();
  readonly #closed: Promise<unknown>;

  constructor(canaries: readonly string[]) {
    const search = new CanarySearch(canaries);
    this.#whole = search.begin();
    this.#unpacked = search.begin();
    this.#closed = once(this.#gunzip, 'close').catch(() => undefined);
    // What is no gzip, or breaks off, has been looked at as far as it can be unpacked.
    this.#gunzip.on('error', () => undefined);
    this.#gunzip.on('data', (piece: Uint8Array) => this.#unpacked.add(piece));
  }

  /** The same bytes, each looked at before it is handed on. */
  async *watch(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      this.#whole.add(piece);
      await this.#unpack(piece);
      yield piece;
    }
    this.#gunzip.end();
    await this.#closed;
  }

  /** Why nobody may have the result, for the owner of the problem; undefined where all may. */
  get finding(): string | undefined {
    const hit = this.#whole.hit ?? this.#unpacked.hit;
    return hit === undefined ? undefined : `It holds the canary number ${hit} of its problem.`;
  }

  /** Resolves when the piece is not needed any more: its memory may be given back then. */
  async #unpack(piece: Uint8Array): Promise<void> {
    if (this.#gunzip.destroyed) return;
    const written = new Promise<void>((resolve) => this.#gunzip.write(piece, () => resolve()));
    // Of a write that breaks it off, nothing is said but that.
    await Promise.race([written, this.#closed]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gunzip.destroy();
    await this.#closed;
  }
}
