import { rmSync } from 'node:fs';
import { chmod, lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Removes a file or folder with all that is in it, whatever modes the code that wrote it has left. Links are removed,
 * never followed. What is not there is fine.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // Folders in folders until no path to them is short enough: of Node's ways to remove, this one alone copes.
    if (code === 'ENAMETOOLONG') return rmSync(path, { recursive: true, force: true });
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    await openFolders(path);
    await rm(path, { recursive: true, force: true });
  }
}

/** Makes every folder of a tree such that its owner may empty it: whoever is not root needs that to remove it. */
async function openFolders(path: string): Promise<void> {
  if (!(await lstat(path)).isDirectory()) return;
  await chmod(path, 0o700);
  for (const inside of await readdir(path, { withFileTypes: true })) {
    if (inside.isDirectory()) await openFolders(join(path, inside.name));
  }
}
