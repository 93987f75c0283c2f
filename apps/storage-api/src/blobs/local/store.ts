import { randomUUID } from 'node:crypto';
import { constants, mkdirSync } from 'node:fs';
import { access, link, mkdir, open, opendir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock, PlatformError } from '@morpheo/common';
import {
  type BlobStore,
  type ByteRange,
  checkLimit,
  checkPromised,
  type ReceivedBlob,
  type ReceiveOptions,
  type StoredBlob,
} from '../blob-store.ts';
import { untilAborted } from '../until-aborted.ts';
import { fileSystemError, isMissing, writeError } from './errors.ts';
import { readFileStream } from './read.ts';
import { writeStagedFile } from './staged-file.ts';

const DIGEST = /^[0-9a-f]{64}$/;
const SUBFOLDERS = Array.from({ length: 256 }, (_, index) => index.toString(16).padStart(2, '0'));

/** Where a {@link openLocalBlobStore} keeps its files. */
export interface LocalBlobStoreOptions {
  /** Made where it is not there. One process owns it at a time. */
  readonly folder: string;
}

/**
 * The BlobStore of one folder on a local disk: `blobs/<first two digits>/<digest>` and `staging/<random>`.
 * A blob is written to staging, synced, renamed to its digest, and its folder synced. Throws what the file system
 * throws where the folder cannot be made.
 */
export async function openLocalBlobStore({ folder }: LocalBlobStoreOptions): Promise<BlobStore> {
  const folders = { blobs: join(folder, 'blobs'), staging: join(folder, 'staging') };
  await makeFolders(folder, folders);
  return new LocalBlobStore(folders);
}

interface Folders {
  readonly blobs: string;
  readonly staging: string;
}

/** Files in them can be read, made, renamed and removed. */
const USABLE = constants.R_OK | constants.W_OK | constants.X_OK;

/** The names of all folders that a store has in its own. */
export const LOCAL_FOLDERS: readonly string[] = foldersOf({ blobs: 'blobs', staging: 'staging' });

function foldersOf({ blobs, staging }: Folders): string[] {
  return [staging, ...SUBFOLDERS.map((subfolder) => join(blobs, subfolder))];
}

class LocalBlobStore implements BlobStore {
  readonly #folders: Folders;
  /** Names of the files in staging that this process writes. */
  readonly #writing = new Set<string>();
  readonly #lock = new KeyedLock();

  constructor(folders: Folders) {
    this.#folders = folders;
  }

  async receive(source: AsyncIterable<Uint8Array>, options: ReceiveOptions = {}): Promise<ReceivedBlob> {
    await using held = new AsyncDisposableStack();
    const name = randomUUID();
    const staged = join(this.#folders.staging, name);
    this.#writing.add(name);
    held.defer(() => void this.#writing.delete(name));
    try {
      const blob =
        (await linkReady(staged, options)) ??
        (await writeStagedFile(staged, untilAborted(source, options.signal), options));
      held.use(await this.#lock.hold(blob.digest));
      const replaced = await this.#makeVisible(staged, blob, options);
      const kept = held.move();
      return { ...blob, replaced, [Symbol.asyncDispose]: () => kept.disposeAsync() };
    } catch (error) {
      await rm(staged, { force: true }).catch(() => {});
      throw writeError(error, 'write the blob');
    }
  }

  /**
   * Moves a complete file to its digest; one that is there in full is kept and counts as new, unless it is damaged.
   * Says whether it was.
   */
  async #makeVisible(staged: string, blob: StoredBlob, { replace }: ReceiveOptions): Promise<boolean> {
    const path = this.#path(blob.digest);
    const present = (await statOrNull(path))?.size === blob.size;
    const replaced = present && (await replace?.(blob.digest)) === true;
    if (present && !replaced) {
      const now = new Date();
      await utimes(path, now, now);
      await rm(staged);
    } else await rename(staged, path);
    await syncFolder(join(path, '..'));
    return replaced;
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
    using _ = await this.#lock.hold(digest);
    if ((await statOrNull(path)) === null || (await unless?.()) === true) return false;
    await rm(path, { force: true });
    return true;
  }

  async *list(): AsyncGenerator<{ digest: string; size: number; storedAt: Date }> {
    for (const subfolder of SUBFOLDERS) {
      // Its names at once, a 256th of all: one after another costs four times the work where there are few.
      for (const name of await readdir(join(this.#folders.blobs, subfolder))) {
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
    for await (const { name } of await opendir(this.#folders.staging)) {
      const path = join(this.#folders.staging, name);
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
      await Promise.all(foldersOf(this.#folders).map((path) => access(path, USABLE)));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new PlatformError('unavailable', `The blob folder cannot be used: ${reason}`, { cause: error });
    }
  }

  #path(digest: string): string {
    if (!DIGEST.test(digest)) throw new PlatformError('not_found', 'A blob is named by its SHA-256 digest.');
    return join(this.#folders.blobs, digest.slice(0, 2), digest);
  }
}

/** Gives a file that has the bytes already the name of a staged one; undefined where there is none, or it cannot be. */
async function linkReady(staged: string, options: ReceiveOptions): Promise<StoredBlob | undefined> {
  if (options.ready === undefined) return undefined;
  const { path, digest, size } = options.ready;
  checkLimit(size, options);
  checkPromised({ digest, size }, options);
  if ((await statOrNull(path))?.size !== size) return undefined;
  return await link(path, staged).then(
    () => ({ digest, size }),
    // On another disk, or one that knows no links.
    () => undefined,
  );
}

/** All subfolders are made beforehand, so that a put has one folder to sync and not a new one above it. */
async function makeFolders(folder: string, folders: Folders): Promise<void> {
  const how = { recursive: true, mode: 0o750 } as const;
  for (const path of [folders.staging, folders.blobs]) await mkdir(path, how);
  const there = new Set(await readdir(folders.blobs));
  // One call after another and not by way of other threads: that is four times quicker, and nobody is served yet.
  for (const name of SUBFOLDERS) if (!there.has(name)) mkdirSync(join(folders.blobs, name), how);
  for (const parent of [folders.blobs, folder, join(folder, '..')]) await syncFolder(parent);
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
