import {
  type Calls,
  copyObject,
  deleteObject,
  ObjectUpload,
  partBytesFor,
  putObject,
} from '@morpheo/service/buckets';
import type { ReceiveOptions, StoredBlob } from '../blob-store.ts';
import { isDigest, type Keys } from './keys.ts';

/** What an upload is made with. */
export interface UploadParts {
  readonly calls: Calls;
  readonly keys: Keys;
  /** Whether the server copies in parts. */
  readonly partCopies: boolean;
}

/**
 * The bytes of one blob on their way. A small one is put under its digest with one call. A larger one goes in parts: to
 * its own key where its digest is promised, else to a staging key, from which the server copies it. Nothing of it is
 * visible before `makeVisible`. Disposing removes what is left of it on the server, or leaves it to the sweep.
 */
export class BlobUpload implements AsyncDisposable {
  readonly #with: UploadParts;
  /** Where parts go to. */
  readonly #key: string;
  readonly #upload: ObjectUpload;
  /** What is to be removed at the end: the staged object, and last the record, by which a sweep would find it. */
  readonly #left: string[] = [];

  /** `name` is that of its staging key and of its record. */
  constructor(parts: UploadParts, name: string, { size, limit, digest, signal }: ReceiveOptions) {
    const { keys, calls } = parts;
    this.#with = parts;
    this.#key = isDigest(digest) ? keys.blob(digest) : keys.staged(name);
    const partBytes = partBytesFor(size ?? limit ?? 0, calls.tuning.partBytes);
    const began = async (id: string): Promise<void> => {
      const record = Buffer.from(JSON.stringify({ key: this.#key, id }));
      this.#left.push(keys.record(name));
      await putObject(calls, keys.record(name), record, { signal });
    };
    this.#upload = new ObjectUpload(calls, this.#key, { partBytes, signal, began });
  }

  /** Takes a copy of a piece; throws where a part before it could not be sent. */
  async write(piece: Uint8Array): Promise<void> {
    await this.#upload.write(piece);
  }

  /** Ends the bytes; what came is told when all parts have arrived. */
  async end(): Promise<StoredBlob> {
    return await this.#upload.end();
  }

  /** Makes the blob visible under its digest, which the caller has compared. */
  async makeVisible(blob: StoredBlob): Promise<void> {
    const { calls, keys, partCopies } = this.#with;
    const to = keys.blob(blob.digest);
    const went = await this.#upload.complete(blob, to);
    if (went === 'at once' || this.#key === to) return;
    this.#left.unshift(this.#key);
    await copyObject(calls, { from: this.#key, to, size: blob.size, inParts: partCopies });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { calls } = this.#with;
    try {
      await this.#upload.abandon();
      for (const key of this.#left) await deleteObject(calls, key);
    } catch {
      // The server does not answer, which the upload has told already: the record leads the sweep to what is left.
    }
  }
}
