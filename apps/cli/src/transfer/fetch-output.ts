import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { measured, OUTPUT_LIMITS } from '@morpheo/common';
import { unpackArchive } from '@morpheo/service/archive';
import type { Context } from '../context.ts';
import { usageError } from '../exit-codes.ts';
import { showProgress } from '../terminal/progress.ts';
import { downloadTo } from './download.ts';

/** What was fetched: files, and their bytes together. */
export interface Fetched {
  readonly files: number;
  readonly bytes: number;
}

/** Throws a `CliError` where something is in the way of a folder that is to be made. */
export async function checkFree(folder: string): Promise<void> {
  const isThere = await stat(folder).then(
    () => true,
    () => false,
  );
  if (isThere) throw usageError(`${folder} is there already.`, 'Name a folder that is to be made.');
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
    ...{ storage: storage(), type: 'output', resource, signal },
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
