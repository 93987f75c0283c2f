import { createReadStream } from 'node:fs';
import { copyFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import { ArchiveError, unpackArchive } from '@morpheo/service/archive';
import { type PackedArchive, packFolder } from '../archive/pack.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { placeTree } from '../files/copy-in.ts';
import { nameOf } from '../inputs/download.ts';
import type { InputBlob } from '../inputs/fetch.ts';
import { type CollectedFile, collectTree } from '../outputs/collect.ts';
import { count, formatBytes } from '../steps/format.ts';

/** The name under which algorithms of the original platform look for a model. */
const CLASSIC_NAME = 'model_trained.json';
/** Where the contract has the model in the container. */
const AT = '/data/model';

/** Larger archives are unpacked where they are used: to copy what is in them would cost more than is saved. */
const KEPT_BYTES = 256 * 1024 ** 2;

/**
 * Puts the files of a model into `folder`, which is made, for a step: copies that are its own, of what was unpacked once
 * for all who use the model. Throws `OrderFailure` with `invalid_result` for a broken archive, as a failure of that
 * step: it names paths within the model, which who may see the order may not read.
 */
export async function placeModel(
  model: InputBlob,
  folder: string,
  attempt: Attempt,
  step: 'train' | 'predict',
): Promise<void> {
  const { treeLimits, signal } = attempt;
  const unpack = async (into: string) =>
    (await unpackArchive(createReadStream(model.path), into, treeLimits, signal)).bytes;
  try {
    if (model.bytes > KEPT_BYTES) await unpack(folder);
    else {
      const tree = await attempt.cached({ area: 'models', key: model.digest, make: unpack });
      await placeTree(tree.path, folder, 'copy');
    }
  } catch (error) {
    // Told here, for others may wait for the same archive under another id.
    if (!(error instanceof ArchiveError)) throw error;
    const message = `The ${nameOf(model)} cannot be unpacked. ${error.message}`;
    throw new OrderFailure('model_archive_broken', { message, step }, error);
  }
}

/** Gives a model that is one file the name that the original gave it, beside its own: older algorithms expect it. */
export async function nameClassically(folder: string): Promise<void> {
  const [only, another] = await readdir(folder, { withFileTypes: true });
  if (only === undefined || another !== undefined || !only.isFile() || only.name === CLASSIC_NAME) return;
  await copyFile(join(folder, only.name), join(folder, CLASSIC_NAME));
}

/**
 * The files of the model that *train* left in `folder`. Throws `OrderFailure` with `missing_result` where it left none,
 * or what is wrong with what it left.
 */
export async function demandModel(folder: string, attempt: Attempt): Promise<CollectedFile[]> {
  const { treeLimits: limits, signal } = attempt;
  const files = await collectTree(folder, { limits, at: AT, signal });
  if (files.length === 0) {
    const message = `No file was written to ${AT}: there is no model.`;
    throw new OrderFailure('model_missing', { message, file: `${AT}/${CLASSIC_NAME}`, step: 'train' });
  }
  return files;
}

/**
 * Packs the model that *train* left in `folder` as a `.tar.gz` at `target`. Throws `OrderFailure` with
 * `missing_result` where it left none, or what is wrong with what it left.
 */
export async function packModel(folder: string, target: string, attempt: Attempt): Promise<PackedArchive> {
  const files = await demandModel(folder, attempt);
  await rm(target, { force: true });
  const packed = await packFolder(folder, { files, target, signal: attempt.signal });
  attempt.log(
    'results',
    `results: a model of ${count(files.length, 'file')}, ${formatBytes(packed.size)} packed`,
  );
  return packed;
}
