import { createReadStream, mkdirSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { type BucketPlace, type JobInput, OrderFailure } from '@morpheo/common';
import { ArchiveError, unpackArchive } from '@morpheo/service/archive';
import type { Attempt } from '../attempt/attempt.ts';
import { placeFile, placeTree } from '../files/copy-in.ts';
import type { Recipe } from '../steps/contract.ts';
import { type BlobName, nameOf } from './download.ts';
import { cacheKey, type InputBlob } from './fetch.ts';
import type { Gathered } from './gather.ts';

/** The things on storage that a job names as its inputs. */
export function resourcesOf(inputs: readonly JobInput[]): BlobName[] {
  return inputs.flatMap(({ resource }) => (resource === undefined ? [] : [resource]));
}

/** The places of buckets that a job names as its inputs. */
export function placesOf(inputs: readonly JobInput[]): BucketPlace[] {
  return inputs.flatMap(({ bucket }) => (bucket === undefined ? [] : [bucket]));
}

/** Who brings inputs to where they are to lie; of a bucket only where it says how. */
export type InputPlacer = Pick<Attempt, 'treeLimits' | 'placing' | 'signal' | 'cached'> &
  Partial<Pick<Attempt, 'fetchPlace'>>;

/** Where the inputs of a job lie in the folder of its step, by their numbers, and where the job finds them. */
export function mountsOf(inputs: readonly JobInput[]): Recipe['mounts'] {
  return inputs.map(({ path }, index) => ({ folder: hostOf(index), container: path, readOnly: true }));
}

/**
 * Puts the inputs of a job into the folder of its step, where {@link mountsOf} has them: what is on storage as it was
 * gathered, and what is in buckets as it is there now. Throws `OrderFailure` for an archive that cannot be unpacked, and as
 * {@link Attempt.fetchPlace} does.
 */
export async function placeInputs(
  inputs: readonly JobInput[],
  blob: Gathered['blob'],
  folder: string,
  placer: InputPlacer,
): Promise<void> {
  for (const [index, input] of inputs.entries())
    await placeInput(input, blob, join(folder, hostOf(index)), placer);
}

/** Puts one input at `target`, whose folder is made where need be. Throws as {@link placeInputs} does. */
export async function placeInput(
  input: JobInput,
  blob: Gathered['blob'],
  target: string,
  placer: InputPlacer,
): Promise<void> {
  mkdirSync(dirname(target), { recursive: true });
  if (input.resource !== undefined) await placeBlob(blob(input.resource), input, target, placer);
  else if (input.inline !== undefined) await placeInline(input.inline, input, target, placer);
  else if (input.bucket !== undefined) await placer.fetchPlace?.(input.bucket, target);
}

function hostOf(index: number): string {
  return `in/${index}`;
}

async function placeBlob(
  blob: InputBlob,
  { unpack, path }: JobInput,
  target: string,
  placer: InputPlacer,
): Promise<void> {
  const isOutput = blob.type === 'output';
  if (unpack !== true && !isOutput) return await placeFile(blob.path, target, placer.placing);
  const tree = await placer.cached({
    area: 'unpacked',
    key: cacheKey(blob, blob.digest),
    make: async (into) => {
      const about = { what: nameOf(blob), path, isOutput, compressed: await isGzipFile(blob.path), placer };
      return await unpacked(createReadStream(blob.path), into, about);
    },
  });
  await placeTree(tree.path, target, placer.placing);
}

async function placeInline(
  base64: string,
  { unpack, path }: JobInput,
  target: string,
  placer: InputPlacer,
): Promise<void> {
  const bytes = Buffer.from(base64, 'base64');
  if (unpack !== true) return await writeFile(target, bytes);
  await unpacked(Readable.from([bytes]), target, {
    ...{ what: 'inline input', path, isOutput: false, compressed: isGzip(bytes) },
    placer,
  });
}

interface Archived {
  readonly what: string;
  /** Where the job finds it. */
  readonly path: string;
  /** Made by a worker: then there may be nothing in it. */
  readonly isOutput: boolean;
  /** By gzip. */
  readonly compressed: boolean;
  readonly placer: InputPlacer;
}

/** Unpacks a tar into a folder that is made. Returns how many bytes are in its files. */
async function unpacked(
  archive: Readable,
  into: string,
  { what, path, isOutput, compressed, placer: { treeLimits, signal } }: Archived,
): Promise<number> {
  try {
    const options = { compressed, empty: isOutput };
    return (await unpackArchive(archive, into, treeLimits, signal, options)).bytes;
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    const message = `The ${what} for ${path} cannot be unpacked. ${error.message}`;
    throw new OrderFailure('input_archive_broken', { message, step: 'inputs' }, error);
  }
}

async function isGzipFile(path: string): Promise<boolean> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
  return isGzip(buffer.subarray(0, bytesRead));
}

function isGzip(bytes: Buffer): boolean {
  return bytes.length >= 2 && bytes.readUInt16BE() === 0x1f8b;
}
