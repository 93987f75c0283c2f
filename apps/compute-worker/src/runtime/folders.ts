import { constants as fs, lstatSync, opendirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { errnoOf } from '@morpheo/common';
import { below, openFolder } from '../files/open-tree.ts';

/** What stands below some folders. */
export interface DiskUse {
  /** As the disk gave them: a hole in a sparse file does not count. */
  readonly bytes: number;
  /** Files and folders. */
  readonly files: number;
}

const NOTHING: DiskUse = { bytes: 0, files: 0 };
/** More than any folder holds. */
export const UNBOUNDED: DiskUse = { bytes: Number.POSITIVE_INFINITY, files: Number.POSITIVE_INFINITY };

const BLOCK = 512;
/** A name need not be text: in this encoding each of its bytes is a character. */
const BYTES = { encoding: 'latin1', bufferSize: 256 } as const;

/** A folder whose path is longer is measured through an open handle: the kernel takes no path of 4,096 bytes. */
const LONG_BYTES = 2048;

/** After so many entries, and folders, all else has its turn: most folders of runs are smaller than a turn. */
const TURN = 256;

/** How often a folder that its mode hides is opened, should the code hide it again. */
const OPENINGS = 3;

/**
 * Measures folders, however deep, following no link, and stops as soon as one of the bounds is passed. A folder that its
 * mode hides is opened to its owner, where that is the worker; one of somebody else counts as passing the bounds. What
 * comes and goes meanwhile is of no matter.
 */
export async function measure(folders: readonly string[], bounds: DiskUse): Promise<DiskUse> {
  let use: DiskUse = { bytes: 0, files: 0 };
  const open: Buffer[] = folders.map((folder) => Buffer.from(folder));
  let looked = 0;
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    if (folder.byteLength > LONG_BYTES) {
      use = add(use, await measureDeep(folder, minus(bounds, use)));
    } else {
      const { inside, ...here } = await measureOne(folder, minus(bounds, use));
      use = add(use, here);
      open.push(...inside);
      looked += 1 + here.files;
    }
    if (looked >= TURN) {
      looked = 0;
      await setImmediate();
    }
    if (use.bytes > bounds.bytes || use.files > bounds.files) break;
  }
  return use;
}

/** What stands in a folder itself, and the folders in it. */
interface FolderUse extends DiskUse {
  readonly inside: readonly Buffer[];
}

async function measureOne(folder: Buffer, bounds: DiskUse): Promise<FolderUse> {
  for (let openings = 0; ; openings += 1) {
    try {
      return await lookInto(folder, bounds);
    } catch (error) {
      const code = errnoOf(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return { ...NOTHING, inside: [] };
      if (code !== 'EACCES') throw error;
      if (openings === OPENINGS || !(await opened(folder))) return { ...UNBOUNDED, inside: [] };
    }
  }
}

async function lookInto(folder: Buffer, bounds: DiskUse): Promise<FolderUse> {
  const inside: Buffer[] = [];
  let { bytes, files } = NOTHING;
  const names = opendirSync(folder, BYTES);
  try {
    for (let entry = names.readSync(), turn = 1; entry !== null; entry = names.readSync(), turn += 1) {
      if (turn % TURN === 0) await setImmediate();
      const path = below(folder, Buffer.from(entry.name, BYTES.encoding));
      const stats = lstatSync(path, { throwIfNoEntry: false });
      if (stats === undefined) continue;
      files += 1;
      bytes += stats.blocks * BLOCK;
      if (stats.isDirectory()) inside.push(path);
      if (bytes > bounds.bytes || files > bounds.files) break;
    }
  } finally {
    names.closeSync();
  }
  return { bytes, files, inside };
}

/** {@link measure} of a folder whose path is nearly too long, by a path that is short. */
async function measureDeep(folder: Buffer, bounds: DiskUse): Promise<DiskUse> {
  try {
    await using handle = await open(folder, fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW);
    return await measure([`/proc/self/fd/${handle.fd}`], bounds);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return NOTHING;
    if (code !== 'EACCES') throw error;
    return (await opened(folder)) ? await measureDeep(folder, bounds) : UNBOUNDED;
  }
}

/** Opens a folder that its mode hides; false where it is not the worker's. */
async function opened(folder: Buffer): Promise<boolean> {
  try {
    await openFolder(folder);
    return true;
  } catch (error) {
    // Somebody else's; or the code has hidden a folder above it meanwhile.
    if (errnoOf(error) === 'EPERM' || errnoOf(error) === 'EACCES') return false;
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
}

function add(one: DiskUse, other: DiskUse): DiskUse {
  return { bytes: one.bytes + other.bytes, files: one.files + other.files };
}

function minus(one: DiskUse, other: DiskUse): DiskUse {
  return { bytes: one.bytes - other.bytes, files: one.files - other.files };
}

/** Of folders, those that do not lie below another of them. */
export function outermost(folders: readonly string[]): string[] {
  const all = [...new Set(folders)];
  return all.filter((folder) => !all.some((other) => folder.startsWith(`${other}/`)));
}

/** Watches how much a run adds below some folders. */
export class DiskWatch {
  readonly #folders: readonly string[];
  readonly #bounds: DiskUse;
  /** What stood there when the run began; infinite where that cannot be told. */
  readonly before: DiskUse;

  constructor(folders: readonly string[], before: DiskUse, limits: DiskUse) {
    this.#folders = folders;
    this.before = before;
    // Where it cannot be told what stands there already, anything is too much.
    const bytes = Number.isFinite(before.bytes) ? before.bytes + limits.bytes : -1;
    this.#bounds = { bytes, files: before.files + limits.files };
  }

  /** A watch over folders: from what stands there now, or stood there `before`. */
  static async open(folders: readonly string[], limits: DiskUse, before?: DiskUse): Promise<DiskWatch> {
    const apart = outermost(folders);
    return new DiskWatch(apart, before ?? (await measure(apart, UNBOUNDED)), limits);
  }

  /** Whether more was added than the limits allow. */
  async isBeyond(): Promise<boolean> {
    const now = await measure(this.#folders, this.#bounds);
    return now.bytes > this.#bounds.bytes || now.files > this.#bounds.files;
  }
}
