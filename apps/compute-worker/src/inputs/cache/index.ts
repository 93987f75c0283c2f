import { randomUUID } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { SharedWork } from '../../async/single-flight.ts';
import { removeTree } from '../../files/remove-tree.ts';
import { type CacheArea, commit, discard, type Entry, noteUse, openEntries } from './entries.ts';

/** An entry that is asked of the cache, and how it is made where it is not there. */
export interface CacheRequest {
  readonly area: CacheArea;
  /** 64 hexadecimal digits: the SHA-256 of what the entry is made from. */
  readonly key: string;
  /** Makes the file or folder at the path it is given, which does not exist yet, and returns its size in bytes. */
  readonly make: (into: string) => Promise<number>;
  /** Tells whether an entry is what it should be, where that became doubtful by a restart of the machine. */
  readonly prove?: (path: string) => Promise<boolean>;
  /** Of the one who asks; see {@link SharedWork}. */
  readonly signal: AbortSignal;
}

/** A cached file or folder that is in use, and therefore stays, until it is disposed. It must not be written to. */
export interface Cached {
  readonly path: string;
  readonly bytes: number;
  /** True where it was there already. */
  readonly cached: boolean;
  [Symbol.dispose](): void;
}

/** What to open a {@link Cache} with. */
export interface CacheOptions {
  /** Its own folder; one process at a time. */
  readonly folder: string;
  /** What is not in use is removed, the longest unused first, while all of it takes more than this. */
  readonly limitBytes: number;
  /** Called each time that something is taken into use: whether it was there. */
  readonly onUse?: ((area: CacheArea, hit: boolean) => void) | undefined;
  readonly log: Log;
}

/** Opens the cache of a folder, with what an earlier process left there. */
export async function openCache(options: CacheOptions): Promise<Cache> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const entries = await openEntries(options.folder);
  const trash = join(options.folder, 'trash');
  return new Cache(
    options,
    entries,
    (await readdir(trash)).map((name) => join(trash, name)),
  );
}

/**
 * Files and folders by the digest of what they are made from. Each is made once, even where several ask for it at once,
 * stays while it is in use, and outlives the process. A failure is never kept.
 */
export class Cache {
  readonly #options: CacheOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #making = new SharedWork<void>(isOfTicket);
  readonly #removals = new Set<Promise<void>>();
  #bytes = 0;
  #clock = 0;

  constructor(options: CacheOptions, entries: readonly Entry[], trash: readonly string[]) {
    this.#options = options;
    for (const path of trash) this.#background(removeTree(path));
    for (const entry of entries) this.#add(entry);
    this.#evict();
  }

  /** How many bytes all entries have. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes an entry into use, and makes it first where it is not there. Throws what `make` throws. */
  async use(request: CacheRequest): Promise<Cached> {
    const name = `${request.area}/${request.key}`;
    let cached = true;
    for (;;) {
      const entry = this.#entries.get(name);
      if (entry !== undefined && !entry.doubtful) {
        this.#options.onUse?.(request.area, cached);
        return this.#lend(entry, cached);
      }
      await this.#making.run(name, request.signal, async () => {
        if (entry !== undefined && (await this.#prove(entry, request))) return;
        cached = false;
        await this.#make(request);
      });
    }
  }

  /** Waits until what is being removed is gone. Whoever uses the cache has stopped before. */
  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#removals.size > 0) await Promise.all(this.#removals);
  }

  #lend(entry: Entry, cached: boolean): Cached {
    entry.uses += 1;
    let inUse = true;
    return {
      path: entry.path,
      bytes: entry.bytes,
      cached,
      [Symbol.dispose]: () => {
        if (!inUse) return;
        inUse = false;
        entry.uses -= 1;
        entry.usedAt = this.#now();
        noteUse(entry);
        this.#evict();
      },
    };
  }

  /** Milliseconds since 1970, and never the same twice, so that the order of use is known. */
  #now(): number {
    this.#clock = Math.max(Date.now(), this.#clock + 1);
    return this.#clock;
  }

  async #prove(entry: Entry, request: CacheRequest): Promise<boolean> {
    const isWhole = (await request.prove?.(entry.path)) ?? false;
    if (isWhole) entry.doubtful = false;
    else {
      this.#options.log.warn({ entry: entry.path }, 'A cached file was damaged; it is fetched again');
      this.#remove(entry);
    }
    return isWhole;
  }

  async #make(request: CacheRequest): Promise<void> {
    const { folder } = this.#options;
    const into = join(folder, 'tmp', randomUUID());
    try {
      const bytes = await request.make(into);
      request.signal.throwIfAborted();
      const entry = commit(folder, request.area, request.key, into, bytes);
      entry.uses = 1;
      this.#add(entry);
      this.#evict();
      entry.uses = 0;
    } finally {
      await removeTree(into);
    }
  }

  #add(entry: Entry): void {
    this.#entries.set(`${entry.area}/${entry.key}`, entry);
    this.#bytes += entry.bytes;
  }

  #evict(): void {
    if (this.#bytes <= this.#options.limitBytes) return;
    const idle = [...this.#entries.values()].filter((entry) => entry.uses === 0);
    for (const entry of idle.sort((a, b) => a.usedAt - b.usedAt)) {
      if (this.#bytes <= this.#options.limitBytes) return;
      this.#remove(entry);
    }
  }

  #remove(entry: Entry): void {
    this.#entries.delete(`${entry.area}/${entry.key}`);
    this.#bytes -= entry.bytes;
    this.#background(removeTree(discard(this.#options.folder, entry.path)));
  }

  #background(removal: Promise<void>): void {
    const done = removal
      .catch((error: unknown) => this.#options.log.error({ error }, 'The cache could not remove a file'))
      .finally(() => this.#removals.delete(done));
    this.#removals.add(done);
  }
}

/** What was refused to the ticket of one attempt, that of another may open. */
function isOfTicket(error: unknown): boolean {
  return isPlatformError(error, 'unauthenticated', 'forbidden');
}
