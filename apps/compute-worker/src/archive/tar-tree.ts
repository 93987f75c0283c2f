import { constants as fs } from 'node:fs';
import { lstat, open, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { Pack } from 'tar-stream';
import { writeAndDrain } from './drain.ts';
import { tarBytes } from './tar-bytes.ts';

/** How {@link tarTree} writes a folder. */
export interface TarTreeOptions {
  /** Who owns the entries; root where absent. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Folders, as paths relative to the root, that are written without what is in them. */
  readonly hollow?: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * A folder as a tar archive, as it is read: regular files and folders, whether a file may be executed, and nothing
 * else of their modes. What is neither is left out. Files that grow meanwhile are cut, those that shrink throw
 * `internal`.
 */
export function tarTree(folder: string, options: TarTreeOptions): AsyncGenerator<Uint8Array> {
  return tarBytes(async (tar) => await fill(tar, folder, options));
}

async function fill(tar: Pack, root: string, options: TarTreeOptions): Promise<void> {
  const { hollow = [], signal, owner = { uid: 0, gid: 0 } } = options;
  const open = [''];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    for await (const { name } of await opendir(join(root, folder))) {
      signal.throwIfAborted();
      const path = folder === '' ? name : `${folder}/${name}`;
      const stats = await lstat(join(root, path));
      if (stats.isDirectory()) {
        await entry(tar, { name: `${path}/`, type: 'directory', size: 0, mode: 0o755, ...owner });
        if (!hollow.includes(path)) open.push(path);
      } else if (stats.isFile()) {
        const mode = (stats.mode & 0o111) === 0 ? 0o644 : 0o755;
        await addFile(tar, join(root, path), { name: path, type: 'file', mode, ...owner });
      }
    }
  }
  tar.finalize();
}

type Header = {
  readonly name: string;
  readonly type: 'file' | 'directory';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
};

async function addFile(tar: Pack, path: string, header: Header): Promise<void> {
  await using file = await open(path, fs.O_RDONLY | fs.O_NOFOLLOW | fs.O_NONBLOCK);
  const { size } = await file.stat();
  await entry(
    tar,
    { ...header, size },
    file.createReadStream({ autoClose: false, end: Math.max(size - 1, 0) }),
  );
}

async function entry(
  tar: Pack,
  header: Header & { readonly size: number },
  bytes?: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { promise: packed, resolve, reject } = Promise.withResolvers<void>();
  packed.catch(() => undefined);
  const sink = tar.entry({ ...header, mtime: new Date(0) }, (error) => (error ? reject(error) : resolve()));
  sink.once('error', reject);
  let left = header.size;
  if (left > 0 && bytes !== undefined) {
    for await (const chunk of bytes) {
      left -= chunk.byteLength;
      if (left < 0 || !(await writeAndDrain(sink, chunk))) break;
    }
  }
  if (left !== 0) throw new PlatformError('internal', `The file ${header.name} changed while it was packed.`);
  sink.end(undefined);
  await packed;
}
