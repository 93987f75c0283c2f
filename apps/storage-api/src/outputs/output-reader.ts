import { createHash } from 'node:crypto';
import { OUTPUT_LIMITS, PlatformError } from '@morpheo/common';
import {
  type ArchivedEntry,
  ArchiveError,
  ArchiveReader,
  pathProblem,
  shownPath,
} from '@morpheo/service/archive';
import type { IndexedFile } from './files.ts';

type Limits = typeof OUTPUT_LIMITS;

/** Reads the output of a job, a tar archive of hostile origin, while its bytes pass by, and lists its files. */
export class OutputReader {
  readonly #tree: OutputTree;
  readonly #relay = new Relay();

  constructor(limits: Limits = OUTPUT_LIMITS) {
    this.#tree = new OutputTree(limits);
  }

  /**
   * The same bytes, each read before it is handed on. Fails with `invalid_upload` that names the entry, before the last
   * byte at the latest, where they are not an archive of files and folders, each at a path of its own.
   */
  async *watch(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const stop = new AbortController();
    const reading = this.#read(stop.signal);
    // Its failure is met where it is waited for.
    reading.catch(() => undefined);
    try {
      for await (const piece of source) {
        await Promise.race([this.#relay.give(piece), reading]);
        yield piece;
      }
      this.#relay.end();
      await reading;
    } finally {
      stop.abort();
      this.#relay.end();
    }
  }

  /** The files by path, in its order, once all bytes have passed. */
  get files(): IndexedFile[] {
    return this.#tree.files.toSorted((one, other) => (one.path < other.path ? -1 : 1));
  }

  async #read(signal: AbortSignal): Promise<void> {
    try {
      const entries = new ArchiveReader(this.#relay, false).entries(signal);
      for await (const entry of entries) await this.#tree.add(entry);
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      throw new PlatformError('invalid_upload', `The output is not kept. ${error.message}`, { cause: error });
    }
  }
}

/** Files and folders of an archive, each at a path of its own. */
class OutputTree {
  readonly #files = new Map<string, IndexedFile>();
  readonly #folders = new Set<string>();
  readonly #limits: Limits;
  #entries = 0;
  #pathBytes = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get files(): IndexedFile[] {
    return [...this.#files.values()];
  }

  async add(entry: ArchivedEntry): Promise<void> {
    const { name, kind, size } = entry.header;
    this.#entries += 1;
    // Also of folders that stand there again and again, which make nothing.
    if (this.#entries > 2 * this.#limits.files) throw this.#tooMany(name);
    if (kind !== 'file' && kind !== 'folder')
      throw new ArchiveError(
        `The entry ${shownPath(name)} is neither a file nor a folder (${kind}): links and devices are refused.`,
        name,
      );
    const path = checkedPath(name, kind, this.#limits);
    if (kind === 'folder') {
      if (path !== '') this.#addFolder(path);
      return;
    }
    this.#addParents(path);
    if (this.#files.has(path)) throw new ArchiveError(`The entry ${shownPath(name)} stands twice.`, name);
    if (this.#folders.has(path)) throw bothKinds(path);
    this.#claim(path);
    const hash = createHash('sha256');
    for await (const piece of entry.bytes()) hash.update(piece);
    this.#files.set(path, { path, offset: entry.offset, size, sha256: hash.digest('hex') });
  }

  #addFolder(path: string): void {
    if (this.#folders.has(path)) return;
    this.#addParents(path);
    if (this.#files.has(path)) throw bothKinds(path);
    this.#claim(path);
    this.#folders.add(path);
  }

  #addParents(path: string): void {
    const slash = path.lastIndexOf('/');
    if (slash > 0) this.#addFolder(path.slice(0, slash));
  }

  #claim(path: string): void {
    this.#pathBytes += Buffer.byteLength(path);
    if (this.#files.size + this.#folders.size >= this.#limits.files) throw this.#tooMany(path);
    const { allPathBytes } = this.#limits;
    if (this.#pathBytes <= allPathBytes) return;
    throw new ArchiveError(`The paths have more than ${allPathBytes} bytes together.`, path);
  }

  #tooMany(path: string): ArchiveError {
    return new ArchiveError(`It has more than ${this.#limits.files} files and folders.`, path);
  }
}

/** The name of an entry without `./` and a slash at its end; empty for the folder of all. */
function checkedPath(name: string, kind: 'file' | 'folder', limits: Limits): string {
  const bare = name.replace(/^(?:\.\/)+/, '');
  const path = kind === 'folder' ? bare.replace(/\/+$/, '') : bare;
  if (kind === 'folder' && (path === '' || path === '.') && !name.startsWith('/')) return '';
  const problem = pathProblem(path, limits);
  if (problem !== undefined) throw new ArchiveError(`The entry ${shownPath(name)} ${problem}.`, name);
  return path;
}

function bothKinds(path: string): ArchiveError {
  return new ArchiveError(`The entry ${shownPath(path)} is a folder and a file.`, path);
}

/** Hands pieces from who has them to who reads them, one at a time. */
class Relay implements AsyncIterable<Uint8Array> {
  #next = Promise.withResolvers<Uint8Array | undefined>();
  #taken = Promise.withResolvers<void>();

  /** Resolves when the reader asks for the next one: the memory of the piece may be used again then. */
  async give(piece: Uint8Array): Promise<void> {
    this.#taken = Promise.withResolvers<void>();
    this.#next.resolve(piece);
    await this.#taken.promise;
  }

  /** There are no more. */
  end(): void {
    this.#next.resolve(undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = await this.#next.promise;
      if (piece === undefined) return;
      this.#next = Promise.withResolvers<Uint8Array | undefined>();
      yield piece;
      this.#taken.resolve();
    }
  }
}
