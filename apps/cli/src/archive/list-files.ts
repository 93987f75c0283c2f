import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { usageError } from '../exit-codes.ts';
import { type IgnoreRules, ignoreRules } from './ignore-rules.ts';

/** A file that goes into an archive. */
export interface FileToPack {
  /** Relative to the folder, with `/`. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly executable: boolean;
}

/**
 * The files of a folder that go into its archive, sorted by name so that the same folder gives the same archive.
 * Throws a `CliError` for links and other things that an archive of the platform does not hold.
 */
export async function listFiles(folder: string, signal: AbortSignal): Promise<FileToPack[]> {
  const ignores = ignoreRules(await readIfThere(join(folder, '.dockerignore')));
  const files: FileToPack[] = [];
  await walk(folder, '', ignores, files, signal);
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function walk(
  root: string,
  below: string,
  ignores: IgnoreRules,
  files: FileToPack[],
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
    const name = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!ignores.folder(name)) await walk(root, name, ignores, files, signal);
    } else if (!ignores.file(name)) {
      if (!entry.isFile()) throw notPackable(name, entry.isSymbolicLink());
      const { size, mode } = await stat(join(root, name));
      files.push({ name, size, executable: (mode & 0o111) !== 0 });
    }
  }
}

function notPackable(name: string, link: boolean): Error {
  return usageError(
    `${name} is ${link ? 'a link' : 'neither a file nor a folder'}: archives hold plain files alone.`,
    'Replace it by a copy, or name it in .dockerignore.',
  );
}

async function readIfThere(path: string): Promise<string | null> {
  return await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw usageError(`${path} cannot be read: ${error.message}`, undefined, error);
  });
}
