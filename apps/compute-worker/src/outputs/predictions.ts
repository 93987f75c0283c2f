import { lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import { openOutput, takeFile } from './collect.ts';

/** Where a step wrote predictions: a mounted folder, its path in the container, and the data sets they are for. */
export interface Written {
  /** The host folder that has `pred` inside. */
  readonly folder: string;
  /** Where that folder stands in the container. */
  readonly at: string;
  readonly uuids: readonly string[];
  /** Of one prediction. */
  readonly maxBytes: number;
}

/**
 * Moves the prediction of each data set from `pred` to the folder `target`, which is made. Takes regular files
 * only, and nothing beside what is asked for. May be done again where it was broken off. Throws `OrderFailure` that names the file that is missing or no file.
 */
export async function takePredictions(written: Written, target: string): Promise<void> {
  const { folder, at, uuids, maxBytes } = written;
  await mkdir(target, { recursive: true });
  for (const uuid of uuids) {
    // Taken before by a process that died then; the target is where no container reaches.
    if (await isThere(join(target, uuid))) continue;
    const inside = `pred/${uuid}`;
    const output = await named(`${at}/${inside}`, () => openOutput(folder, inside, { maxBytes, at }));
    await output[Symbol.asyncDispose]();
    await takeFile(folder, inside, at, join(target, uuid));
  }
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

/** Names the file that was to be written also where the folder for it is missing. */
async function named<T>(file: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof OrderFailure) || error.failure.reason !== 'missing_result') throw error;
    throw new OrderFailure('output_missing', { message: `${file} was not written.`, file }, error);
  }
}
