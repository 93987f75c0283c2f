import { link, mkdir, open, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { ArchiveError } from './archive-error.ts';
import { ArchiveReader, type TarEntry } from './read.ts';

/** What an output may come to: bytes of all files together as their sizes say, and files and folders. */
export interface OutputBounds {
  readonly bytes: number;
  readonly files: number;
}

/** Where the links that stand for what is no file lead: nowhere, on any machine. */
const NOWHERE = '/dev/null/not-a-regular-file';

/**
 * Unpacks what a container wrote, as its daemon hands it out: a tar archive of one folder, whose name is left out.
 * `folder` must be there, and empty. Regular files come as they are, also those of several names; whatever is no file
 * and no folder becomes a link that leads nowhere, so that whoever collects the files finds and refuses it.
 *
 * Resolves with false, leaving what came so far, as soon as it is over the bounds or has paths that no file system
 * takes. Throws `disk_full` where this machine has no room, what `source` throws, and the signal's reason.
 */
export async function unpackOutput(
  source: AsyncIterable<Uint8Array>,
  folder: string,
  bounds: OutputBounds,
  signal: AbortSignal,
): Promise<boolean> {
  let { bytes, files } = bounds;
  try {
    for await (const entry of new ArchiveReader(source, false).entries(signal)) {
      const path = pathOf(entry.header.name);
      if (path === '') continue;
      bytes -= entry.header.size;
      files -= 1;
      if (bytes < 0 || files < 0) return false;
      await place(entry, path, folder);
    }
    return true;
  } catch (error) {
    signal.throwIfAborted();
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENAMETOOLONG' || error instanceof ArchiveError) return false;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new PlatformError('disk_full', 'The disk of the worker has no room for what a container wrote.', {
      cause: error,
    });
  }
}

/** A path below the folder; the daemon names no other, and what it named could not lead out. */
function pathOf(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new ArchiveError('An entry leads out of its folder.', name);
  return parts.slice(1).join('/');
}

async function place(entry: TarEntry, path: string, folder: string): Promise<void> {
  const { type, mode, linkname } = entry.header;
  const target = join(folder, path);
  await mkdir(dirname(target), { recursive: true });
  if (type === 'directory') {
    await mkdir(target, { recursive: true });
    return;
  }
  try {
    if (type === 'file' || type === 'contiguous-file') {
      await using file = await open(target, 'wx', (mode & 0o111) === 0 ? 0o644 : 0o755);
      await file.writeFile(entry.bytes());
    } else if (type === 'link' && linkname) {
      await link(join(folder, pathOf(linkname)), target);
    } else {
      await symlink(NOWHERE, target);
    }
  } catch (error) {
    // Two names of bytes that are no text look the same once they are: the one that is there is refused as well.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
