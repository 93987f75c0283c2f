import { type BucketPlace, OrderFailure } from '@morpheo/common';
import { pathProblem, shownPath, type TreeLimits } from '@morpheo/service/archive';

/** The longest key (S3), in bytes. */
export const KEY_BYTES = 1024;

/** The bounds of a prefix, whose slash at the end does not count. */
const OF_PREFIX: TreeLimits = { bytes: 0, files: 0, depth: 64, pathBytes: KEY_BYTES - 1 };

/** What is wrong with a prefix, as words that follow it in a sentence; the empty one is the whole of its connection. */
export function prefixProblem(prefix: string): string | undefined {
  return prefix === '' ? undefined : pathProblem(prefix.replace(/\/$/, ''), OF_PREFIX);
}

/** Throws `OrderFailure` where the prefix of a place is no plain path. */
export function requirePrefix({ connection, prefix }: BucketPlace): void {
  const problem = prefixProblem(prefix);
  if (problem === undefined) return;
  const file = placeName({ connection, prefix });
  throw new OrderFailure('prefix_unusable', { message: `The prefix ${file} ${problem}.`, file });
}

/** A place, or what lies at a path below it, as messages and the CLI name it: `bucket:lab/sets/a/x`. */
export function placeName({ connection, prefix }: BucketPlace, path = ''): string {
  return shownPath(`bucket:${connection}/${path === '' ? prefix : folderOf(prefix) + path}`);
}

/** What the keys below a prefix begin with: empty, or ending with a slash. */
export function folderOf(prefix: string): string {
  return prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
}

/** Collects the names of files that are to lie in one folder, and refuses those that cannot. */
export class FolderPlan {
  readonly #limits: TreeLimits;
  readonly #name: (path: string) => string;
  readonly #files = new Set<string>();
  readonly #folders = new Set<string>();
  #bytes = 0;

  /** `name` makes what errors call a thing. */
  constructor(limits: TreeLimits, name: (path: string) => string) {
    this.#limits = limits;
    this.#name = name;
  }

  /**
   * Adds a file. Throws `OrderFailure` that names it: `prefix_unusable` where it cannot be made beside the others,
   * `prefix_too_large` over the limits.
   */
  addFile(path: string, size: number): void {
    this.#requirePath(path);
    if (this.#files.has(path)) throw this.#unusable(path, 'is there twice');
    this.#files.add(path);
    this.#addFolders(path);
    this.#bytes += size;
    const { files, bytes } = this.#limits;
    if (this.#files.size > files) throw tooLarge(this.#name(''), `more than ${files} objects`);
    if (this.#bytes > bytes) throw tooLarge(this.#name(''), `more than ${bytes} bytes`);
    if (this.#folders.has(path)) throw this.#unusable(path, 'is a file and a folder at once');
  }

  /** Adds a folder in which there may be nothing. Throws as {@link addFile} does. */
  addFolder(path: string): void {
    this.#requirePath(path);
    this.#addFolders(`${path}/`);
  }

  /** All folders that are needed, those above first. */
  folders(): string[] {
    return [...this.#folders].sort((a, b) => (a < b ? -1 : 1));
  }

  #addFolders(path: string): void {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const folder = path.slice(0, end);
      if (this.#folders.has(folder)) return;
      this.#folders.add(folder);
      if (this.#folders.size > this.#limits.files)
        throw tooLarge(this.#name(''), `more than ${this.#limits.files} folders`);
      if (this.#files.has(folder)) throw this.#unusable(folder, 'is a file and a folder at once');
    }
  }

  #requirePath(path: string): void {
    const problem = pathProblem(path, this.#limits);
    if (problem !== undefined) throw this.#unusable(path, problem);
  }

  #unusable(path: string, problem: string): OrderFailure {
    const file = this.#name(path);
    return new OrderFailure('prefix_unusable', { message: `The object ${file} ${problem}.`, file });
  }
}

function tooLarge(where: string, what: string): OrderFailure {
  const message = `${where} has ${what}, the limit of the order.`;
  return new OrderFailure('prefix_too_large', { message });
}
