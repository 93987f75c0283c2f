import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { Peers } from '../clients.ts';

/** How many bytes of pixels are kept beside the database, where nobody says more or less. */
const USUAL_BYTES = 4 * 1024 ** 3;

/** Where the pixels of a shard are. */
export interface PixelsOfShard {
  readonly resource: string;
  /** Where they begin in the bytes of the shard, and how many they are. */
  readonly at: number;
  readonly bytes: number;
}

/** What {@link ShardFiles} are opened with. */
export interface ShardFilesOptions {
  readonly folder: string;
  readonly storage: Pick<Peers['storage'], 'getDataBlob'>;
  readonly log: Log;
  /** 4 GiB where absent. */
  readonly mostBytes?: number | undefined;
}

interface Held {
  readonly file: FileHandle;
  readonly bytes: number;
}

/**
 * The pixels of shards, fetched from storage when they are first asked for, and kept in a folder up to a bound: those that were
 * not used for the longest time go. What is there is used again after a start.
 */
export class ShardFiles implements AsyncDisposable {
  readonly #folder: string;
  readonly #storage: Pick<Peers['storage'], 'getDataBlob'>;
  readonly #log: Log;
  readonly #most: number;
  /** In the order of their last use. */
  readonly #files = new Map<string, Promise<Held>>();
  #bytes = 0;

  private constructor({ folder, storage, log, mostBytes = USUAL_BYTES }: ShardFilesOptions) {
    this.#folder = folder;
    this.#storage = storage;
    this.#log = log;
    this.#most = mostBytes;
  }

  /** Opens the folder, which nobody else uses, and drops what was left half-written there; all, where that is too much. */
  static async open(options: ShardFilesOptions): Promise<ShardFiles> {
    const { folder, mostBytes = USUAL_BYTES } = options;
    await mkdir(folder, { recursive: true });
    const paths = (await readdir(folder)).map((name) => join(folder, name));
    const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
    const isTooMuch = sizes.reduce((all, size) => all + size, 0) > mostBytes;
    const gone = paths.filter((path) => isTooMuch || path.endsWith(HALF));
    await Promise.all(gone.map(async (path) => await rm(path)));
    return new ShardFiles(options);
  }

  /** So many bytes of the pixels of a shard, from one on. Throws `unavailable` where storage does not give them. */
  async read(shard: PixelsOfShard, from: number, length: number): Promise<Buffer> {
    const pixels = Buffer.allocUnsafe(length);
    for (;;) {
      const held = this.#held(shard);
      const { file } = await held;
      try {
        const { bytesRead } = await file.read(pixels, 0, length, from);
        if (bytesRead === length) return pixels;
      } catch (error) {
        if (this.#files.get(shard.resource) === held) throw error;
        // It went meanwhile, to make room.
        continue;
      }
      throw new PlatformError(
        'damaged',
        `The pixels of the shard ${shard.resource} end before byte ${from + length}.`,
      );
    }
  }

  #held(shard: PixelsOfShard): Promise<Held> {
    const there = this.#files.get(shard.resource);
    const held = there ?? this.#take(shard);
    this.#files.delete(shard.resource);
    this.#files.set(shard.resource, held);
    if (there === undefined)
      held
        .then(
          async ({ bytes }) => await this.#makeRoom(bytes),
          () => this.#files.delete(shard.resource),
        )
        .catch((error: unknown) =>
          this.#log.warn({ error }, 'pixels that are not needed stay where they are'),
        );
    return held;
  }

  async #take(shard: PixelsOfShard): Promise<Held> {
    const path = join(this.#folder, `${shard.resource}.u8`);
    const there = await stat(path).catch(() => undefined);
    if (there?.size !== shard.bytes) await this.#fetch(shard, path);
    return { file: await open(path, 'r'), bytes: shard.bytes };
  }

  async #fetch({ resource, at, bytes }: PixelsOfShard, path: string): Promise<void> {
    const answer = await this.#storage.getDataBlob({
      params: { uuid: resource },
      headers: { range: `bytes=${at}-${at + bytes - 1}` },
    });
    if (answer.status !== 206 || answer.body === undefined) {
      await answer.body?.cancel();
      throw new PlatformError('unavailable', `storage-api does not give a range of the shard ${resource}.`);
    }
    await using half = await open(path + HALF, 'w');
    await half.writeFile(answer.body);
    const { size } = await half.stat();
    if (size !== bytes)
      throw new PlatformError('unavailable', `The shard ${resource} came with ${size} of ${bytes} bytes.`);
    await rename(path + HALF, path);
  }

  async #makeRoom(bytes: number): Promise<void> {
    this.#bytes += bytes;
    for (const [resource, promised] of this.#files) {
      if (this.#bytes <= this.#most || this.#files.size === 1) return;
      this.#files.delete(resource);
      const held = await promised.catch(() => undefined);
      if (held === undefined) continue;
      this.#bytes -= held.bytes;
      await rm(join(this.#folder, `${resource}.u8`), { force: true });
      await held.file.close();
    }
  }

  /** Lets go of all files, which stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    const held = await Promise.allSettled(this.#files.values());
    this.#files.clear();
    await Promise.all(
      held.map(async (one) => (one.status === 'fulfilled' ? await one.value.file.close() : undefined)),
    );
  }
}

const HALF = '.half';
