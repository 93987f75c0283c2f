import type { Calls } from './calls.ts';
import { abortUpload, beginUpload, completeUpload, PartSender } from './multipart.ts';
import { putObject } from './objects.ts';
import { type FilledPart, type Measured, PartFiller, PartMemory } from './parts.ts';

/** How an object is uploaded. */
export interface UploadOptions {
  /** The size of its parts in bytes; see `partBytesFor`. */
  readonly partBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Is told the id of the upload when it goes in parts, before the first of them: the way to end it after a crash. */
  readonly began?: ((id: string) => Promise<void>) | undefined;
}

/**
 * The bytes of one object on their way. A small one waits in memory, and is put with one call; a larger one goes in
 * parts. Nothing of it is visible before `complete`. Disposing it before stops it, and frees what the server holds.
 */
export class ObjectUpload implements AsyncDisposable {
  readonly #calls: Calls;
  readonly #key: string;
  readonly #options: UploadOptions;
  readonly #memory: PartMemory;
  readonly #filler: PartFiller;
  #parts: { readonly id: string; readonly sender: PartSender } | undefined;
  #last: FilledPart | undefined;
  #state: 'under way' | 'visible' = 'under way';

  /** Nothing is sent yet. Parts go to `key`. */
  constructor(calls: Calls, key: string, options: UploadOptions) {
    this.#calls = calls;
    this.#key = key;
    this.#options = options;
    this.#memory = new PartMemory(options.partBytes);
    this.#filler = new PartFiller(options.partBytes, this.#memory);
  }

  /** Takes a copy of a piece; throws where a part before it could not be sent. */
  async write(piece: Uint8Array): Promise<void> {
    for (let done = 0; done < piece.byteLength; ) {
      const taken = this.#filler.take(piece.subarray(done));
      if (taken === 0) await this.#send(this.#filler.cut());
      done += taken;
    }
  }

  /** Ends the bytes; what came is told when all parts have arrived. */
  async end(): Promise<Measured> {
    const { measured, part } = this.#filler.end();
    if (this.#parts === undefined) this.#last = part;
    else {
      await this.#send(part);
      await this.#parts.sender.arrived();
    }
    return measured;
  }

  /**
   * Makes the object visible, in place of what is there, and says whether it went in parts: then it is at its key. One
   * that did not is put at `smallKey` where one is given. What was begun is finished even where the signal aborts.
   */
  async complete({ digest, size }: Measured, smallKey = this.#key): Promise<'in parts' | 'at once'> {
    const last = this.#last;
    if (last !== undefined) {
      // Memory that a call has failed with may still be read from: it is left to the collector.
      this.#last = undefined;
      await putObject(this.#calls, smallKey, last.bytes, { sha256: digest });
      this.#memory.give(last.memory);
      return 'at once';
    }
    if (this.#parts === undefined) throw new Error('an object becomes visible when its bytes have ended');
    const parts = await this.#parts.sender.arrived();
    await completeUpload(this.#calls, { key: this.#key, id: this.#parts.id, size }, parts);
    this.#state = 'visible';
    return 'in parts';
  }

  async #send({ bytes, memory }: FilledPart): Promise<void> {
    this.#parts ??= await this.#begin();
    await this.#parts.sender.send(bytes, () => this.#memory.give(memory));
  }

  async #begin() {
    const { signal, began } = this.#options;
    const id = await beginUpload(this.#calls, this.#key, signal);
    this.#parts = { id, sender: new PartSender(this.#calls, { key: this.#key, id }, signal) };
    await began?.(id);
    return this.#parts;
  }

  /** As disposing, but rejects where the server could not be told to free what it holds. */
  async abandon(): Promise<void> {
    if (this.#last !== undefined) this.#memory.give(this.#last.memory);
    this.#last = undefined;
    this.#memory[Symbol.dispose]();
    if (this.#parts === undefined) return;
    await this.#parts.sender[Symbol.asyncDispose]();
    if (this.#state === 'under way') await abortUpload(this.#calls, this.#key, this.#parts.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A server that does not answer was told of by the upload already.
    await this.abandon().catch(() => {});
  }
}
