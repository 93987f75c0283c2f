import { mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { PlatformError } from '@morpheo/common';

/**
 * Makes the file where there is none, and its folder, readable by the owner alone. The folders are synced, so that
 * the file is still found after a power cut.
 */
export async function prepareFile(file: string): Promise<void> {
  const folder = dirname(resolve(file));
  try {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    const handle = await open(file, 'a', 0o600);
    await handle.chmod(0o600);
    await handle.close();
    await syncFolders(folder, made === undefined ? folder : dirname(made));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const remedy = 'name another file, or give this user access to its folder';
    throw new PlatformError('unavailable', `The database ${file} cannot be opened: ${why}; ${remedy}.`, {
      cause: error,
    });
  }
}

/** Syncs a folder and those above it, up to the given one. */
async function syncFolders(folder: string, last: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync();
  await handle.close();
  if (folder !== last && folder !== dirname(folder)) await syncFolders(dirname(folder), last);
}
