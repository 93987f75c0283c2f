import type { Readable } from 'node:stream';
import type { OutputChunk } from './index.ts';

/** How output is passed on. */
export interface OutputOptions {
  readonly limitBytes: number;
  readonly onOutput: (chunk: OutputChunk) => Promise<void>;
  /** Called once, when more than the limit has come. */
  readonly onLimit: () => void;
}

/**
 * Passes on what a run prints: in order, a chunk at a time, no more being read while the receiver is busy, and not a
 * byte beyond the limit. What comes after the limit is read and dropped.
 */
export class Output {
  readonly #options: OutputOptions;
  /** Bytes until the limit; less than zero once nothing is passed on any more. */
  #left: number;
  #turn: Promise<void> = Promise.resolve();
  #busy = 0;
  #lastAt = performance.now();

  constructor(options: OutputOptions) {
    this.#options = options;
    this.#left = options.limitBytes;
  }

  /** For how many milliseconds there was nothing to pass on. */
  get idleMs(): number {
    return this.#busy > 0 ? 0 : performance.now() - this.#lastAt;
  }

  /** Passes a stream on until it ends. Rejects with what the receiver rejects with. */
  async pump(stream: OutputChunk['stream'], from: Readable): Promise<void> {
    for await (const bytes of from) {
      if (bytes instanceof Uint8Array) await this.print(stream, bytes);
    }
  }

  /** Passes bytes on, after what was passed on before. */
  async print(stream: OutputChunk['stream'], bytes: Uint8Array): Promise<void> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    this.#busy += 1;
    try {
      await before;
      await this.#pass(stream, bytes);
    } finally {
      this.#busy -= 1;
      this.#lastAt = performance.now();
      resolve();
    }
  }

  /** Passes nothing on any more. */
  close(): void {
    this.#left = -1;
  }

  async #pass(stream: OutputChunk['stream'], bytes: Uint8Array): Promise<void> {
    if (this.#left < 0) return;
    const within = bytes.subarray(0, this.#left);
    this.#left -= within.byteLength;
    if (within.byteLength > 0) await this.#options.onOutput({ stream, bytes: within });
    // Closed meanwhile, or all within the limit.
    if (this.#left < 0 || within.byteLength === bytes.byteLength) return;
    this.#left = -1;
    this.#options.onLimit();
  }
}
