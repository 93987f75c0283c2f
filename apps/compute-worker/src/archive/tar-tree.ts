import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileEntry, type TarEntry, tarOf } from '@morpheo/service/archive';

/** How {@link tarTree} writes a folder. */
export interface TarTreeOptions {
  /** Who owns the entries; root where absent. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Folders, as paths relative to the root, that are written without what is in them. */
  readonly hollow?: readonly string[];
  /** What stands before the names of all entries, with a slash at its end. */
  readonly prefix?: string;
  /** The mode of all files and folders; 755 for folders and for files that may be executed, else 644, where absent. */
  readonly mode?: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * A folder as a tar archive, as it is read: regular files and folders, whether a file may be executed, and nothing
 * else of their modes. What is neither is left out. Files that grow meanwhile are cut, those that shrink throw
 * `internal`.
 */
export function tarTree(folder: string, options: TarTreeOptions): AsyncGenerator<Uint8Array> {
  return tarOf(treeEntries(folder, options));
}

/** The entries of {@link tarTree}, without one for the folder itself. */
export async function* treeEntries(
  root: string,
  { hollow = [], owner, prefix = '', mode, signal }: TarTreeOptions,
): AsyncGenerator<TarEntry> {
  const open = [''];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    for await (const { name } of await opendir(join(root, folder))) {
      signal.throwIfAborted();
      const path = folder === '' ? name : `${folder}/${name}`;
      const stats = await lstat(join(root, path));
      if (stats.isDirectory()) {
        yield { name: `${prefix}${path}/`, type: 'directory', size: 0, mode: mode ?? 0o755, owner };
        if (!hollow.includes(path)) open.push(path);
      } else if (stats.isFile()) {
        const usual = (stats.mode & 0o111) === 0 ? 0o644 : 0o755;
        yield* fileEntry(join(root, path), { name: prefix + path, mode: mode ?? usual, owner });
      }
    }
  }
}
