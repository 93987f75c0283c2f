import type { ReceiveOptions, StoredBlob } from '../blob-store.ts';
import type { Calls } from './calls.ts';
import { copyObject } from './copy.ts';
import { abortUpload, beginUpload, completeUpload, MOST_PARTS, PartSender } from './multipart.ts';
import { deleteObject, isDigest, type Keys, putObject } from './objects.ts';
import { type FilledPart, PartFiller, PartMemory } from './parts.ts';

const MIB = 1024 ** 2;

/** What an upload is made with. */
export interface UploadParts {
  readonly calls: Calls;
  readonly keys: Keys;
  /** Whether the server copies in parts. */
  readonly partCopies: boolean;
}

/**
 * The bytes of one blob on their way. A small one waits in memory, and is put with one call. A larger one goes in
 * parts: to its own key where its digest is promised, else to a staging key, from which the server copies it. Nothing
 * of it is visible before `makeVisible`. Disposing removes what is left of it on the server, or leaves it to the sweep.
 */
export class BlobUpload implements AsyncDisposable {
  readonly #with: UploadParts;
  readonly #name: string;
  readonly #signal: AbortSignal | undefined;
  /** Where parts go to. */
  readonly #key: string;
  readonly #memory: PartMemory;
  readonly #filler: PartFiller;
  #parts: { readonly id: string; readonly sender: PartSender } | undefined;
  #last: FilledPart | undefined;
  /** How far the parts have come: to an object under the staging key, or under that of the blob. */
  #made: 'nothing' | 'staged' | 'blob' = 'nothing';

  /** `name` is that of its staging key and of its record. */
  constructor(parts: UploadParts, name: string, options: ReceiveOptions) {
    const { keys, calls } = parts;
    const partBytes = partBytesFor(options, calls.tuning.partBytes);
    this.#with = parts;
    this.#name = name;
    this.#signal = options.signal;
    this.#key = isDigest(options.digest) ? keys.blob(options.digest) : keys.staged(name);
    this.#memory = new PartMemory(partBytes);
    this.#filler = new PartFiller(partBytes, this.#memory);
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
  async end(): Promise<StoredBlob> {
    const { blob, part } = this.#filler.end();
    if (this.#parts === undefined) this.#last = part;
    else {
      await this.#send(part);
      await this.#parts.sender.arrived();
    }
    return blob;
  }

  /** Makes the blob visible under its digest, which the caller has compared. */
  async makeVisible(blob: StoredBlob): Promise<void> {
    const { calls, keys, partCopies } = this.#with;
    const to = keys.blob(blob.digest);
    const last = this.#last;
    if (last !== undefined) {
      // Memory that a call has failed with may still be read from: it is left to the collector.
      this.#last = undefined;
      await putObject(calls, to, last.bytes, { sha256: blob.digest });
      return this.#memory.give(last.memory);
    }
    if (this.#parts === undefined) throw new Error('a blob becomes visible when it has ended');
    const parts = await this.#parts.sender.arrived();
    await completeUpload(calls, { key: this.#key, id: this.#parts.id, size: blob.size }, parts);
    this.#made = this.#key === to ? 'blob' : 'staged';
    if (this.#made === 'staged')
      await copyObject(calls, { from: this.#key, to, size: blob.size, inParts: partCopies });
  }

  async #send({ bytes, memory }: FilledPart): Promise<void> {
    this.#parts ??= await this.#begin();
    await this.#parts.sender.send(bytes, () => this.#memory.give(memory));
  }

  async #begin() {
    const { calls, keys } = this.#with;
    const id = await beginUpload(calls, this.#key, this.#signal);
    this.#parts = { id, sender: new PartSender(calls, { key: this.#key, id }, this.#signal) };
    const record = JSON.stringify({ key: this.#key, id });
    await putObject(calls, keys.record(this.#name), Buffer.from(record), { signal: this.#signal });
    return this.#parts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#last !== undefined) this.#memory.give(this.#last.memory);
    this.#memory[Symbol.dispose]();
    if (this.#parts === undefined) return;
    const { calls, keys } = this.#with;
    await this.#parts.sender[Symbol.asyncDispose]();
    try {
      if (this.#made === 'nothing') await abortUpload(calls, this.#key, this.#parts.id);
      if (this.#made === 'staged') await deleteObject(calls, this.#key);
      await deleteObject(calls, keys.record(this.#name));
    } catch {
      // The server does not answer, which the upload has told already: the record leads the sweep to what is left.
    }
  }
}

/** Parts so large that the most of them suffice for what may come, in whole MiB. */
function partBytesFor({ size, limit }: ReceiveOptions, partBytes: number): number {
  const most = size ?? limit ?? 0;
  return Math.max(partBytes, Math.ceil(most / MOST_PARTS / MIB) * MIB);
}
