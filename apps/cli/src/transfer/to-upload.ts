import { mkdtempDisposable, open, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { listFiles, packFolder } from '../archive/pack-folder.ts';
import { usageError } from '../exit-codes.ts';
import { counted, humanBytes } from '../terminal/text.ts';
import { hashFile } from './hash-file.ts';

/** The types of things that a person uploads. */
export const UPLOAD_TYPES = ['problem', 'algo', 'data', 'model'] as const;

/** One of {@link UPLOAD_TYPES}. */
export type UploadType = (typeof UPLOAD_TYPES)[number];

/** What {@link prepareUpload} works with. */
export interface PrepareOptions {
  /** The folder in which archives are made. */
  readonly temporary: string;
  readonly signal: AbortSignal;
}

/** A file that is ready to be uploaded. Disposing removes the archive that was made for it. */
export interface ToUpload {
  /** As it was named on the command line. */
  readonly source: string;
  /** The file to send. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** SHA-256 in lower-case hexadecimal. */
  readonly sha256: string;
  /** The source's name without folders and without the ending of an archive. */
  readonly name: string;
  /** What it is, for people: `archive of 5 files, 12.3 kB`. */
  readonly description: string;
  [Symbol.asyncDispose](): Promise<void>;
}

const GZIP_MAGIC = [0x1f, 0x8b] as const;
const ARCHIVE_ENDING = /\.(?:tar\.gz|tgz)$/i;

/**
 * Makes a path ready to be uploaded as a thing of `type`: a folder is packed into a temporary archive, a file is taken
 * as it is; either is hashed. Throws a `CliError` for what storage or a worker could not use.
 */
export async function prepareUpload(
  type: UploadType,
  source: string,
  { temporary, signal }: PrepareOptions,
): Promise<ToUpload> {
  const stats = await stat(source).catch((error: NodeJS.ErrnoException) => {
    throw usageError(
      `${source} cannot be read: ${error.message}`,
      'Give the path of a file or folder.',
      error,
    );
  });
  if (stats.isDirectory()) return await packed(type, source, { temporary, signal });
  if (!stats.isFile())
    throw usageError(`${source} is neither a file nor a folder.`, 'Give the path of a file or folder.');
  if (stats.size === 0) throw usageError(`${source} is empty.`, 'Storage takes nothing of 0 bytes.');
  if (type !== 'data') await checkArchive(source);
  return {
    source,
    path: source,
    size: stats.size,
    sha256: await hashFile(source, signal),
    name: nameOf(source),
    description: `${type === 'data' ? 'file' : 'archive'}, ${humanBytes(stats.size)}`,
    async [Symbol.asyncDispose]() {},
  };
}

async function packed(
  type: UploadType,
  source: string,
  { temporary, signal }: PrepareOptions,
): Promise<ToUpload> {
  if (type === 'data') {
    throw usageError(
      `${source} is a folder, and a data set is one file.`,
      `Name its files: morpheo upload data ${join(source, '*')}`,
    );
  }
  const files = await listFiles(source, signal);
  if (files.length === 0)
    throw usageError(`${source} holds no file to pack.`, 'See its .dockerignore, or give another folder.');
  if (type !== 'model' && !files.some((file) => file.name === 'Dockerfile')) {
    throw usageError(
      `${source} has no Dockerfile at its root.`,
      `A ${type} is a build context: add one, or give the folder that has it.`,
    );
  }
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(temporary, 'morpheo-upload-')));
  const path = join(folder.path, `${type}.tar.gz`);
  await packFolder(source, files, path, signal);
  const { size } = await stat(path);
  const sha256 = await hashFile(path, signal);
  const made = stack.move();
  return {
    source,
    path,
    size,
    sha256,
    name: nameOf(source),
    description: `archive of ${counted(files.length, 'file')}, ${humanBytes(size)}`,
    [Symbol.asyncDispose]: () => made.disposeAsync(),
  };
}

async function checkArchive(path: string): Promise<void> {
  await using handle = await open(path, 'r');
  const { buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  if (GZIP_MAGIC.every((byte, index) => buffer[index] === byte)) return;
  throw usageError(
    `${path} is not a .tar.gz archive.`,
    'Give the folder itself, and it is packed for you, or pack it with tar -czf.',
  );
}

function nameOf(source: string): string {
  return basename(resolve(source)).replace(ARCHIVE_ENDING, '');
}
