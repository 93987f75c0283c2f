import { link, mkdir, open, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, PlatformError } from '@morpheo/common';
import type { TreeLimits } from '@morpheo/service/archive';
import { type ArchivedEntry, ArchiveError, ArchiveReader, throwIfDiskFull } from '@morpheo/service/archive';

/** Where the links that stand for what is no file lead: nowhere, on any machine. */
const NOWHERE = '/dev/null/not-a-regular-file';

/** Longer paths are cut: whoever collects the files refuses far shorter ones, and the kernel takes none of 4,096 bytes. */
const PATH_BYTES = 3000;
const NAME_BYTES = 255;

/**
 * Unpacks what a container wrote, as its daemon hands it out: a tar archive of one folder, whose name is left out.
 * `folder` must be there, and empty. Regular files come as they are, also those of several names. What whoever collects
 * the files has to refuse comes such that it is found: in the place of what is no file and no folder, and of another name
 * of what did not come, a link that leads nowhere; of what lies deeper than paths reach, the folders that do.
 *
 * Resolves with false, leaving what came so far, as soon as it is over the bounds (bytes of all files together as
 * their sizes say, and files and folders). Throws `unavailable` for an archive that no daemon makes, `disk_full` where
 * this machine has no room, what `source` throws, and the signal's reason.
 */
export async function unpackOutput(
  source: AsyncIterable<Uint8Array>,
  folder: string,
  bounds: Pick<TreeLimits, 'bytes' | 'files'>,
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
      await write(entry, path, folder);
    }
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ArchiveError) {
      const message = `The Docker daemon handed out files in a way that is not understood. ${error.message}`;
      throw new PlatformError('unavailable', message, { cause: error });
    }
    throwIfDiskFull(error, 'for what a container wrote');
    throw error;
  }
}

/** A path below the folder; the daemon names no other, and what it named could not lead out. */
function pathOf(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new ArchiveError('An entry leads out of its folder.', name);
  return parts.slice(1).join('/');
}

/** As much of a path as this machine takes. A name that is not UTF-8 is longer as the text that it was made to. */
function placeable(path: string): { readonly path: string; readonly isWhole: boolean } {
  const names: string[] = [];
  let bytes = 0;
  for (const whole of path.split('/')) {
    const name = Buffer.byteLength(whole) > NAME_BYTES ? whole.slice(0, NAME_BYTES / 4) : whole;
    bytes += Buffer.byteLength(name) + 1;
    if (bytes > PATH_BYTES) return { path: names.join('/'), isWhole: false };
    names.push(name);
  }
  return { path: names.join('/'), isWhole: true };
}

/** Another name of a file; a link that leads nowhere, which is refused, where that file did not come as it was. */
async function linkOrNowhere(file: string, target: string): Promise<void> {
  try {
    await link(file, target);
  } catch (error) {
    // It lay deeper than paths reach, or had the name of another: it is a folder here, or nothing. Or it has too many names.
    if (!['EPERM', 'ENOENT', 'EMLINK'].includes(errnoOf(error) ?? '')) throw error;
    await symlink(NOWHERE, target);
  }
}

async function write(entry: ArchivedEntry, wanted: string, folder: string): Promise<void> {
  const { kind, executable, link: of } = entry.header;
  const { path, isWhole } = placeable(wanted);
  const target = join(folder, path);
  try {
    await mkdir(isWhole ? dirname(target) : target, { recursive: true });
    if (!isWhole) return;
    if (kind === 'folder') {
      await mkdir(target, { recursive: true });
    } else if (kind === 'file') {
      await using file = await open(target, 'wx', executable ? 0o755 : 0o644);
      await file.writeFile(entry.bytes());
    } else if (kind === 'hard link') {
      await linkOrNowhere(join(folder, placeable(pathOf(of)).path), target);
    } else {
      await symlink(NOWHERE, target);
    }
  } catch (error) {
    // Two names of bytes that are no text look the same once they are: the one that is there is refused as well.
    if (!['EEXIST', 'ENOTDIR'].includes(errnoOf(error) ?? '')) throw error;
  }
}
