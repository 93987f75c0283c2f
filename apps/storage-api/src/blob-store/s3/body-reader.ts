import type { IncomingMessage } from 'node:http';
import type { PlatformError } from '@morpheo/common';

/** Reads the body of an answer piece by piece, in the memory that it came in. */
export class BodyReader {
  readonly #body: IncomingMessage;
  readonly #arrived: Buffer[] = [];
  #end: 'open' | 'whole' | { readonly error: unknown } = 'open';
  #wake: () => void = () => {};

  constructor(body: IncomingMessage) {
    this.#body = body;
    // In its own time a stream would put several pieces into one, a copy more.
    body.on('data', (piece: Buffer) => {
      body.pause();
      this.#arrived.push(piece);
      this.#wake();
    });
    body.once('end', () => this.#close('whole'));
    body.once('error', (error) => this.#close({ error }));
    body.once('close', () => this.#close({ error: cut() }));
    body.pause();
    // What the connection has read is copied into pieces before this listener, the last one, hears of it.
    const { socket } = body;
    socket.on('data', release);
    body.once('close', () => socket.off('data', release));
  }

  /** The next piece, or null at the end. Throws what the connection broke with, and `silence` after `ms` of nothing. */
  async next(ms: number, silence: () => PlatformError): Promise<Uint8Array | null> {
    const piece = this.#arrived.shift();
    if (piece !== undefined) return piece;
    if (this.#end === 'whole') return null;
    if (this.#end !== 'open') throw this.#end.error;
    await this.#something(ms, silence);
    return await this.next(ms, silence);
  }

  /** Gives back the memory of a piece that nobody reads any more. */
  release(piece: Uint8Array): void {
    release(piece);
  }

  /** Stops reading, and closes the connection. */
  cancel(): void {
    this.#body.destroy();
  }

  #close(end: 'whole' | { readonly error: unknown }): void {
    if (this.#end === 'open') this.#end = end;
    this.#wake();
  }

  #something(ms: number, silence: () => PlatformError): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(silence()), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#body.resume();
    });
  }
}

/** Gives memory back at once that somebody has for himself: else it piles up until the collector comes round. */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

function cut(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
}
