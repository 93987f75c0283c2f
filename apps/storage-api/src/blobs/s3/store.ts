import { randomUUID } from 'node:crypto';
import { KeyedLock, PlatformError } from '@morpheo/common';
import {
  type Calls,
  deleteObject,
  linkSigner,
  listObjects,
  openCalls,
  pingBucket,
  putObject,
  readObject,
  statObject,
  versionsWarning,
} from '@morpheo/service/buckets';
import {
  type BlobLink,
  type BlobStore,
  type ByteRange,
  checkLimit,
  checkPromised,
  type ReceivedBlob,
  type ReceiveOptions,
  type StoredBlob,
} from '../blob-store.ts';
import { untilAborted } from '../until-aborted.ts';
import { checkStore } from './check.ts';
import { Intents } from './intents.ts';
import { isDigest, type Keys, keysBelow } from './keys.ts';
import { type S3BlobStoreOptions, STORE_WORDS } from './options.ts';
import { sweepObjects } from './sweep.ts';
import { BlobUpload, type UploadParts } from './upload.ts';

/**
 * The BlobStore of one bucket, or of a prefix in it, on S3 or a server that speaks like it. Rejects with `unavailable`
 * and the remedy where the bucket is not there, or the keys may not list, write and delete in it.
 *
 * Several processes may work in the same place at once where each is told so (`shared`): a `remove` does nothing then
 * while another process puts the same bytes. A sweep ends uploads of other processes that are older than it is told.
 *
 * A server that locks an object while it is read (MinIO) makes `remove` wait: it gives up with `unavailable` then.
 */
export async function openS3BlobStore(options: S3BlobStoreOptions): Promise<BlobStore & Disposable> {
  const keys = keysBelow(options.prefix);
  const calls = openCalls({ ...options, words: STORE_WORDS });
  try {
    await checkStore(calls, keys, options);
    const warning = options.log === undefined ? undefined : await versionsWarning(calls);
    if (warning !== undefined) options.log?.warn({ bucket: options.bucket }, warning);
  } catch (error) {
    calls[Symbol.dispose]();
    throw error;
  }
  return new S3BlobStore(calls, keys, options);
}

class S3BlobStore implements BlobStore, Disposable {
  readonly #calls: Calls;
  readonly #keys: Keys;
  readonly #uploads: UploadParts;
  /** Names of the uploads of this process. */
  readonly #writing = new Set<string>();
  readonly #lock = new KeyedLock();
  readonly #intents: Intents;
  readonly link?: (digest: string, link: BlobLink) => Promise<string>;

  constructor(calls: Calls, keys: Keys, options: S3BlobStoreOptions) {
    this.#calls = calls;
    this.#keys = keys;
    this.#intents = new Intents(calls, keys, options.shared ?? false);
    this.#uploads = { calls, keys, partCopies: options.partCopies ?? true };
    if (options.links === undefined) return;
    const sign = linkSigner(calls, { ...options, words: STORE_WORDS }, options.links);
    this.link = async (digest, link) => await sign(keys.blob(digest), link);
  }

  async receive(source: AsyncIterable<Uint8Array>, options: ReceiveOptions = {}): Promise<ReceivedBlob> {
    await using held = new AsyncDisposableStack();
    const name = randomUUID();
    this.#writing.add(name);
    held.defer(() => void this.#writing.delete(name));
    const upload = held.use(new BlobUpload(this.#uploads, name, options));
    let size = 0;
    for await (const piece of untilAborted(source, options.signal)) {
      size += piece.byteLength;
      checkLimit(size, options);
      await upload.write(piece);
    }
    const blob = await upload.end();
    checkPromised(blob, options);
    held.use(await this.#lock.hold(blob.digest));
    held.use(await this.#intents.holdForPut(blob.digest));
    const replaced = await this.#makeVisible(upload, blob, options);
    const kept = held.move();
    return { ...blob, replaced, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  }

  /**
   * Makes a complete blob visible; one that is there in full is kept and counts as new, unless it is damaged. Says
   * whether it was.
   */
  async #makeVisible(upload: BlobUpload, blob: StoredBlob, { replace }: ReceiveOptions): Promise<boolean> {
    const found = await statObject(this.#calls, this.#keys.blob(blob.digest));
    const present = found?.size === blob.size;
    const replaced = present && (await replace?.(blob.digest)) === true;
    if (!present || replaced) await upload.makeVisible(blob);
    else await putObject(this.#calls, this.#keys.mark(blob.digest), new Uint8Array());
    return replaced;
  }

  async get(digest: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>> {
    return await readObject(this.#calls, this.#key(digest), { what: `blob ${digest}`, range });
  }

  async stat(digest: string): Promise<{ size: number; storedAt: Date } | null> {
    const [found, mark] = await Promise.all([
      statObject(this.#calls, this.#key(digest)),
      statObject(this.#calls, this.#keys.mark(digest)),
    ]);
    return found === null ? null : { size: found.size, storedAt: later(found.storedAt, mark?.storedAt) };
  }

  async remove(digest: string, unless?: () => Promise<boolean>): Promise<boolean> {
    const key = this.#key(digest);
    using _ = await this.#lock.hold(digest);
    if ((await statObject(this.#calls, key)) === null) return false;
    const needed = async () => (await unless?.()) === true;
    return await this.#intents.removing(digest, needed, () => deleteObject(this.#calls, key));
  }

  async *list(): AsyncGenerator<{ digest: string; size: number; storedAt: Date }> {
    const marks = listObjects(this.#calls, this.#keys.marks);
    try {
      let mark = await marks.next();
      for await (const { name, size, storedAt } of listObjects(this.#calls, this.#keys.blobs)) {
        if (!isDigest(name)) continue;
        // Both come in the order of their names.
        while (mark.done !== true && mark.value.name < name) mark = await marks.next();
        const again = mark.done !== true && mark.value.name === name ? mark.value.storedAt : undefined;
        yield { digest: name, size, storedAt: later(storedAt, again) };
      }
    } finally {
      await marks.return(undefined);
    }
  }

  async sweep(
    olderThanMs: number,
    { dryRun = false }: { readonly dryRun?: boolean } = {},
  ): Promise<{ files: number; bytes: number }> {
    return await sweepObjects(this.#calls, this.#keys, olderThanMs, {
      upload: (name) => this.#writing.has(name),
      intent: (name) => this.#intents.isOwn(name),
      ...{ dryRun },
    });
  }

  async ping(signal?: AbortSignal): Promise<void> {
    await pingBucket(this.#calls, this.#keys.blobs, signal);
  }

  [Symbol.dispose](): void {
    this.#calls[Symbol.dispose]();
  }

  #key(digest: string): string {
    if (!isDigest(digest)) throw new PlatformError('not_found', 'A blob is named by its SHA-256 digest.');
    return this.#keys.blob(digest);
  }
}

function later(one: Date, other: Date | undefined): Date {
  return other !== undefined && other > one ? other : one;
}
