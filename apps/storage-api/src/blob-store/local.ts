import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, open, opendir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { abortable } from './abortable.ts';
import type { BlobStore, ByteRange, PutOptions, StoredBlob } from './blob-store.ts';
import { createKeyedLock, type KeyedLock } from './keyed-lock.ts';
import { fileSystemError, isMissing, writeError } from './local-errors.ts';
import { readFileStream } from './local-read.ts';
import { writeStagedFile } from './staged-file.ts';

const DIGEST = /^[0-9a-f]{64}$/;
const SHELVES = Array.from({ length: 256 }, (_, index) => index.toString(16).padStart(2, '0'));

/** Where a {@link openLocalBlobStore} keeps its files. */
export interface LocalBlobStoreOptions {
  /** Made where it is not there. One process owns it at a time. */
  readonly folder: string;
}

/**
 * The BlobStore of one folder on a local disk: `blobs/<first two digits>/<digest>` and `staging/<random>`.
 * A blob is written to staging, synced, renamed to its place, and its folder synced. Throws what the file system
 * throws where the folder cannot be made.
 */
export async function openLocalBlobStore({ folder }: LocalBlobStoreOptions): Promise<BlobStore> {
  const places = { blobs: join(folder, 'blobs'), staging: join(folder, 'staging') };
  await makeFolders(folder, places);
  return new LocalBlobStore(places);
}

interface Places {
  readonly blobs: string;
  readonly staging: string;
}

class LocalBlobStore implements BlobStore {
  readonly #places: Places;
  /** Names of the files in staging that this process writes. */
  readonly #writing = new Set<string>();
  readonly #lock: KeyedLock = createKeyedLock();

  constructor(places: Places) {
    this.#places = places;
  }

  async put(source: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<StoredBlob> {
    const name = randomUUID();
    const staged = join(this.#places.staging, name);
    this.#writing.add(name);
    try {
      const blob = await writeStagedFile(staged, abortable(source, options.signal), options);
      await this.#lock.run(blob.digest, async () => {
        await this.#shelve(staged, blob, options);
        await options.commit?.(blob);
      });
      return blob;
    } catch (error) {
      await rm(staged, { force: true }).catch(() => {});
      throw writeError(error, 'write the blob');
    } finally {
      this.#writing.delete(name);
    }
  }

  /** Gives a complete file its place; one that is there in full is kept and counts as new, unless it is damaged. */
  async #shelve(staged: string, blob: StoredBlob, { replace }: PutOptions): Promise<void> {
    const path = this.#path(blob.digest);
    const present = await statOrNull(path);
    if (present?.size === blob.size && (await replace?.(blob.digest)) !== true) {
      const now = new Date();
      await utimes(path, now, now);
      await rm(staged);
    } else await rename(staged, path);
    await syncFolder(join(path, '..'));
  }

  async get(digest: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>> {
    try {
      return await readFileStream(this.#path(digest), range);
    } catch (error) {
      if (!isMissing(error)) throw fileSystemError(error, 'read the blob');
      throw new PlatformError('not_found', `There is no blob ${digest}.`, { cause: error });
    }
  }

  async stat(digest: string): Promise<{ size: number; storedAt: Date } | null> {
    return await statOrNull(this.#path(digest));
  }

  async remove(digest: string, unless?: () => Promise<boolean>): Promise<boolean> {
    const path = this.#path(digest);
    return await this.#lock.run(digest, async () => {
      if ((await statOrNull(path)) === null || (await unless?.()) === true) return false;
      await rm(path, { force: true });
      return true;
    });
  }

  async *list(): AsyncGenerator<{ digest: string; size: number; storedAt: Date }> {
    for (const shelf of SHELVES) {
      for await (const { name } of await opendir(join(this.#places.blobs, shelf))) {
        const found = DIGEST.test(name) ? await statOrNull(this.#path(name)) : null;
        if (found !== null) yield { digest: name, ...found };
      }
    }
  }

  async sweep(
    olderThanMs: number,
    { dryRun = false }: { readonly dryRun?: boolean } = {},
  ): Promise<{ files: number; bytes: number }> {
    const before = Date.now() - olderThanMs;
    let files = 0;
    let bytes = 0;
    for await (const { name } of await opendir(this.#places.staging)) {
      const path = join(this.#places.staging, name);
      const found = this.#writing.has(name) ? null : await statOrNull(path);
      if (found === null || found.storedAt.getTime() > before) continue;
      if (!dryRun) await rm(path, { force: true, recursive: true });
      files++;
      bytes += found.size;
    }
    return { files, bytes };
  }

  async ping(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    try {
      for (const place of Object.values(this.#places)) await access(place, constants.R_OK | constants.W_OK);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new PlatformError('unavailable', `The blob folder cannot be used: ${reason}`, { cause: error });
    }
  }

  #path(digest: string): string {
    if (!DIGEST.test(digest)) throw new PlatformError('not_found', 'A blob is named by its SHA-256 digest.');
    return join(this.#places.blobs, digest.slice(0, 2), digest);
  }
}

/** All shelves are made beforehand, so that a put has one folder to sync and not a new one above it. */
async function makeFolders(folder: string, places: Places): Promise<void> {
  await mkdir(places.staging, { recursive: true, mode: 0o750 });
  await Promise.all(
    SHELVES.map((shelf) => mkdir(join(places.blobs, shelf), { recursive: true, mode: 0o750 })),
  );
  for (const parent of [places.blobs, folder, join(folder, '..')]) await syncFolder(parent);
}

async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}

async function statOrNull(path: string): Promise<{ size: number; storedAt: Date } | null> {
  try {
    const { size, mtime } = await stat(path);
    return { size, storedAt: mtime };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
