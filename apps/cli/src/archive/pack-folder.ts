import { isUtf8 } from 'node:buffer';
import { createWriteStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { fileEntry, type TarEntry, tarOf } from '@morpheo/service/archive';
import { CliError, messageOf, usageError } from '../exit-codes.ts';
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
 * Throws a `CliError` for links, names that are not UTF-8, and other things that an archive of the platform does not
 * hold.
 */
export async function listFiles(folder: string, signal: AbortSignal): Promise<FileToPack[]> {
  const ignores = ignoreRules(await readIfThere(join(folder, '.dockerignore')));
  const files = await Array.fromAsync(filesBelow(folder, '', ignores, signal));
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function* filesBelow(
  root: string,
  below: string,
  ignores: IgnoreRules,
  signal: AbortSignal,
): AsyncGenerator<FileToPack> {
  signal.throwIfAborted();
  // As text, a name that is not UTF-8 would be that of another file, which is not there.
  for (const entry of await readdir(join(root, below), { withFileTypes: true, encoding: 'buffer' })) {
    const written = entry.name.toString();
    const name = below === '' ? written : `${below}/${written}`;
    if (entry.isDirectory()) {
      if (ignores.folder(name)) continue;
      if (!isUtf8(entry.name)) throw notUtf8(name, 'folder');
      yield* filesBelow(root, name, ignores, signal);
    } else if (!ignores.file(name)) {
      if (!isUtf8(entry.name)) throw notUtf8(name, 'file');
      if (!entry.isFile()) throw notPackable(name, entry.isSymbolicLink());
      const { size, mode } = await stat(join(root, name));
      yield { name, size, executable: (mode & 0o111) !== 0 };
    }
  }
}

/**
 * Writes files of a folder as a `.tar.gz`. The same files give the same bytes: times, owners and rights that differ
 * from machine to machine are left out. Folders are implied by the files in them; empty ones are not kept.
 * Throws a `CliError` where a file cannot be read or changes meanwhile, and the signal's reason on an abort.
 */
export async function packFolder(
  folder: string,
  files: readonly FileToPack[],
  archive: string,
  signal: AbortSignal,
): Promise<void> {
  const changed = (name: string) =>
    usageError(`${join(folder, name)} changed while it was packed.`, 'Try again.');
  const tar = tarOf(entriesOf(folder, files, changed), { changed });
  try {
    await pipeline(tar, createGzip(), createWriteStream(archive, { mode: 0o600 }), { signal });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof CliError) throw cause;
    throw usageError(
      `${folder} could not be packed: ${messageOf(cause)}`,
      'Is there room in the folder for temporary files?',
      cause,
    );
  }
}

async function* entriesOf(
  folder: string,
  files: readonly FileToPack[],
  changed: (name: string) => Error,
): AsyncGenerator<TarEntry> {
  for (const { name, size, executable } of files) {
    const path = join(folder, name);
    try {
      yield* fileEntry(path, { name, size, mode: executable ? 0o755 : 0o644 }, { changed });
    } catch (cause) {
      if (cause instanceof CliError) throw cause;
      throw usageError(
        `${path} cannot be read: ${messageOf(cause)}`,
        'Let your user read it, or name it in .dockerignore.',
        cause,
      );
    }
  }
}

function notPackable(name: string, link: boolean): Error {
  return usageError(
    `${name} is ${link ? 'a link' : 'neither a file nor a folder'}: archives hold plain files alone.`,
    'Replace it by a copy, or name it in .dockerignore.',
  );
}

function notUtf8(name: string, what: string): Error {
  return usageError(
    `The name of ${name.replaceAll('\u{FFFD}', '?')} is not UTF-8.`,
    `Rename the ${what}, or name it in .dockerignore.`,
  );
}

async function readIfThere(path: string): Promise<string | null> {
  return await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw usageError(`${path} cannot be read: ${error.message}`, undefined, error);
  });
}
