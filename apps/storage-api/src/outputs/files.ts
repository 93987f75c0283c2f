import type { OutputFile } from '@morpheo/common';
import type { StorageTransaction } from '../metadata/schema.ts';
import { chunksOf } from '../pins/sets.ts';

/** A file of an output, and where in the blob of the output its bytes begin. */
export interface IndexedFile extends OutputFile {
  readonly offset: number;
}

/** So many files are in one row. */
const FILES_OF_A_PAGE = 256;
/** So many rows are in one statement. */
const PAGES_AT_ONCE = 50;

/**
 * Writes the list of an output's files down, within the transaction that records its blob; of a blob that has one already
 * nothing changes. `files` are in the order of their paths.
 */
export async function writeIndex(
  transaction: StorageTransaction,
  blob: string,
  files: readonly IndexedFile[],
): Promise<void> {
  if (files.length === 0) return;
  const page = await transaction
    .selectFrom('output_pages')
    .select('page')
    .where('sha256', '=', blob)
    .limit(1)
    .executeTakeFirst();
  if (page !== undefined) return;
  const pages = chunksOf(files, FILES_OF_A_PAGE).map((some, number) => ({
    sha256: blob,
    page: number,
    first: some[0]?.path ?? '',
    files: JSON.stringify(some.map(({ path, offset, size, sha256 }) => [path, offset, size, sha256])),
  }));
  for (const some of chunksOf(pages, PAGES_AT_ONCE))
    await transaction.insertInto('output_pages').values(some).execute();
}

/** One file of an output by its path; undefined where there is none. */
export async function findFile(
  read: StorageTransaction,
  blob: string,
  path: string,
): Promise<IndexedFile | undefined> {
  for await (const file of filesFrom(read, blob, path)) return file.path === path ? file : undefined;
  return undefined;
}

/** A page of an output's files. */
export interface FilePage {
  readonly files: readonly IndexedFile[];
  /** True where others follow. */
  readonly goesOn: boolean;
}

/** The first `limit` files of an output whose paths begin with `prefix` and come after `after`, by path. */
export async function listFiles(
  read: StorageTransaction,
  blob: string,
  { prefix, after, limit }: { readonly prefix: string; readonly after: string; readonly limit: number },
): Promise<FilePage> {
  const files: IndexedFile[] = [];
  for await (const file of filesFrom(read, blob, after > prefix ? after : prefix)) {
    if (file.path <= after) continue;
    // All that begin with it stand together.
    if (!file.path.startsWith(prefix)) break;
    if (files.length === limit) return { files, goesOn: true };
    files.push(file);
  }
  return { files, goesOn: false };
}

/** The files of an output from a path on. */
async function* filesFrom(read: StorageTransaction, blob: string, path: string): AsyncGenerator<IndexedFile> {
  const pages = await read
    .selectFrom('output_pages')
    .select(['page', 'first'])
    .where('sha256', '=', blob)
    .orderBy('page')
    .execute();
  // Compared here: databases order texts each in its way.
  const later = pages.findIndex(({ first }) => first > path);
  const from = Math.max(0, (later === -1 ? pages.length : later) - 1);
  for (const { page } of pages.slice(from)) {
    const row = await read
      .selectFrom('output_pages')
      .select('files')
      .where('sha256', '=', blob)
      .where('page', '=', page)
      .executeTakeFirst();
    for (const file of row === undefined ? [] : filesOf(row.files)) if (file.path >= path) yield file;
  }
}

function filesOf(text: string): IndexedFile[] {
  // Written by ourselves.
  const files = JSON.parse(text) as [string, number, number, string][];
  return files.map(([path, offset, size, sha256]) => ({ path, offset, size, sha256 }));
}
