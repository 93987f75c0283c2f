import { createReadStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { measured, OUTPUT_LIMITS, OUTPUT_PAGE, type OutputFile, PlatformError } from '@morpheo/common';
import { pathProblem, shownPath, unpackArchive } from '@morpheo/service/archive';
import type { Context } from '../context.ts';
import { usageError } from '../exit-codes.ts';
import { pages } from '../platform/pages.ts';
import { showProgress, type Transfer } from '../terminal/progress.ts';
import { bytesOfFile, bytesOfResource, downloadTo } from './download.ts';
import { hashFile } from './hash-file.ts';
import { isThere } from './save-download.ts';

/** What was fetched: files, and their bytes together. */
export interface Fetched {
  readonly files: number;
  readonly bytes: number;
}

/** Throws a `CliError` where something is in the way of a folder that is to be made. */
export async function checkFree(folder: string): Promise<void> {
  if (await isThere(folder))
    throw usageError(`${folder} is there already.`, 'Name a folder that is to be made.');
}

/**
 * Fetches all files of an output into a folder, which appears with the first of them, after all bytes have come and have the
 * digest that storage told. A download that was cut goes on when it is fetched there again. Throws as {@link downloadTo} does.
 */
export async function fetchOutput(
  { terminal, storage, signal }: Context,
  uuid: string,
  folder: string,
  showBar = false,
): Promise<Fetched> {
  await checkFree(folder);
  const resource = measured(await storage().get({ params: { type: 'output', uuid } }, { signal }));
  const archive = `${folder}.tar`;
  await checkFree(archive);
  await downloadTo(archive, {
    ...{ what: bytesOfResource(storage(), 'output', resource), signal },
    progress: (transfer) => showProgress(terminal, transfer, showBar),
  });
  const { files, depth, pathBytes } = OUTPUT_LIMITS;
  try {
    const limits = { files, depth, pathBytes, bytes: resource.size };
    const plain = { compressed: false, empty: true };
    return await unpackArchive(createReadStream(archive), folder, limits, signal, plain);
  } finally {
    await rm(archive, { force: true });
  }
}

/** The files of an output whose paths begin with `prefix`, by path. */
export async function* outputFiles(
  { storage, signal }: Context,
  uuid: string,
  prefix: string,
  pageSize: number = OUTPUT_PAGE.most,
): AsyncGenerator<OutputFile> {
  const read = (cursor: string | undefined) =>
    storage().listOutputFiles({ params: { uuid }, query: { prefix, limit: pageSize, cursor } }, { signal });
  for await (const page of pages(read)) yield* page.items;
}

/**
 * Fetches these files of an output into a folder, which appears when all have come, each at its path behind the first
 * `skipped` characters. What was cut goes on when they are fetched there again. Throws as {@link downloadTo} does.
 */
export async function fetchFiles(
  { terminal, storage, signal }: Context,
  uuid: string,
  files: readonly OutputFile[],
  {
    folder,
    skipped,
    showBar,
  }: { readonly folder: string; readonly skipped: number; readonly showBar: boolean },
): Promise<Fetched> {
  await checkFree(folder);
  const part = `${folder}.part`;
  const total = files.reduce((sum, { size }) => sum + size, 0);
  using bar = showProgress(terminal, { title: `downloading ${files.length} files`, total }, showBar);
  const progress = ({ start = 0 }: Transfer) => {
    bar.add(start);
    return { add: (bytes: number) => bar.add(bytes), [Symbol.dispose]: () => {} };
  };
  await mkdir(part, { recursive: true });
  for (const file of files) {
    const path = file.path.slice(skipped);
    const problem = pathProblem(path, OUTPUT_LIMITS);
    // Storage tells no other, and what else answers there is not trusted with more than this folder.
    if (problem !== undefined)
      throw new PlatformError('invalid_request', `The file ${shownPath(path)} ${problem}.`);
    const target = join(part, path);
    await mkdir(dirname(target), { recursive: true });
    if (await isFetched(target, file, signal)) bar.add(file.size);
    else await downloadTo(target, { what: bytesOfFile(storage(), uuid, file), progress, signal });
  }
  await rename(part, folder);
  return { files: files.length, bytes: total };
}

async function isFetched(
  target: string,
  { size, sha256 }: OutputFile,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await stat(target).catch(() => undefined);
  return found?.isFile() === true && found.size === size && (await hashFile(target, signal)) === sha256;
}
