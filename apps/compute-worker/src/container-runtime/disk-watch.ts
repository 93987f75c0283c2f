import { lstatSync } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';

/** What stands below some folders. */
export interface DiskUse {
  /** That the disk gave: a hole in a sparse file does not count. */
  readonly bytes: number;
  /** Files and folders. */
  readonly files: number;
}

const BLOCK = 512;

/**
 * Measures folders, following no link, and stops as soon as one of the bounds is passed. What cannot be looked into
 * counts as passing them: a tree so deep that its paths are too long for the kernel, or a folder that its modes hide.
 * What comes and goes meanwhile is of no matter.
 */
export async function measure(folders: readonly string[], bounds: DiskUse): Promise<DiskUse> {
  let bytes = 0;
  let files = 0;
  const open = [...folders];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    try {
      for await (const { name } of await opendir(folder, { bufferSize: 256 })) {
        const path = join(folder, name);
        const stats = lstatSync(path, { throwIfNoEntry: false });
        if (stats === undefined) continue;
        files += 1;
        bytes += stats.blocks * BLOCK;
        if (stats.isDirectory()) open.push(path);
        if (bytes > bounds.bytes || files > bounds.files) return { bytes, files };
      }
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'ENAMETOOLONG' || code === 'EACCES')
        return { bytes: Number.POSITIVE_INFINITY, files: Number.POSITIVE_INFINITY };
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
  }
  return { bytes, files };
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
    const everything = { bytes: Number.POSITIVE_INFINITY, files: Number.POSITIVE_INFINITY };
    return new DiskWatch(apart, before ?? (await measure(apart, everything)), limits);
  }

  /** Whether more was added than the limits allow. */
  async isBeyond(): Promise<boolean> {
    const now = await measure(this.#folders, this.#bounds);
    return now.bytes > this.#bounds.bytes || now.files > this.#bounds.files;
  }
}
