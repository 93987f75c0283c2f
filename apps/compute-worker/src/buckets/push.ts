import { all, type BucketPlace, OrderFailure, retry } from '@morpheo/common';
import { shownPath, type TreeLimits } from '@morpheo/service/archive';
import { RETRY_PAUSES } from '../inputs/download.ts';
import { type CollectedFile, collectTree, openOutput } from '../outputs/collect.ts';
import type { Connections, OpenPlace } from './connections.ts';
import { atPlace, ofStep } from './errors.ts';
import { attemptOf, dataFolder, type Manifest, readManifest, requireOwn, writeManifest } from './manifest.ts';
import { KEY_BYTES, placeName } from './places.ts';

/** Whose outputs are pushed. */
export interface PushedBy {
  readonly owner: string | undefined;
  readonly order: string;
  readonly attempt: number;
}

/** What {@link pushPrefix} needs to know. */
export interface PushOptions extends PushedBy {
  /** `failed`: the outputs of a program that ended with another exit code than 0. */
  readonly outcome: Manifest['outcome'];
  /** The bounds of the folder. */
  readonly limits: TreeLimits;
  /** The folder's path inside the container, for messages. */
  readonly at: string;
  readonly signal: AbortSignal;
}

/** What the manifest tells of a file. */
type PushedFile = Manifest['files'][number];

/** Files that are pushed at once: each takes up to three parts of 8 MiB of memory. */
const AT_ONCE = 3;
const TRIES = 4;

/**
 * Makes sure, before a job runs, that its outputs may go to a place: that its owner may write there, that nothing of
 * another order is there, and that the place lies in no input of the job, nor an input in it. Throws `OrderFailure`.
 */
export async function requireFreePlace(
  connections: Connections,
  to: BucketPlace,
  inputs: readonly BucketPlace[],
  by: PushedBy & { readonly signal: AbortSignal },
): Promise<void> {
  const { owner } = by;
  await ofStep('inputs', async () => {
    const target = connections.locate(to, { owner, use: 'write' });
    for (const input of inputs) {
      const source = connections.locate(input, { owner, use: 'read' });
      if (source.startsWith(target) || target.startsWith(source)) throw overlaps(to, input);
    }
    using place = await connections.open(to, { owner, use: 'write' });
    await atPlace(place, async () => requireOwn(place, await readManifest(place, by.signal), by));
  });
}

function overlaps(to: BucketPlace, input: BucketPlace): OrderFailure {
  const message = `The outputs would go to ${placeName(to)}, which holds the input ${placeName(input)} or lies in it.`;
  return new OrderFailure('prefix_taken', { message });
}

/** What was pushed: the manifest, and what it is as bytes. */
export interface Pushed {
  readonly manifest: Manifest;
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
}

/** Pushes all files of a folder to a place, and its manifest last. See the contract of this folder. */
export async function pushPrefix(
  connections: Connections,
  folder: string,
  to: BucketPlace,
  options: PushOptions,
): Promise<Pushed> {
  const { owner, signal } = options;
  return await ofStep('results', async () => {
    const found = await collectTree(folder, options);
    using place = await connections.open(to, { owner, use: 'write' });
    return await atPlace(place, async () => {
      requireOwn(place, await readManifest(place, signal), options);
      const files = await pushFiles(place, folder, found, options);
      const { order, attempt, outcome } = options;
      const pushed = await writeManifest(place, { order, attempt, outcome, files }, signal);
      await removeEarlier(place, options).catch(() => signal.throwIfAborted());
      return pushed;
    });
  });
}

/** Pushes files under the order and the attempt; what is told of them is sorted by name. */
async function pushFiles(
  place: OpenPlace,
  folder: string,
  found: readonly CollectedFile[],
  options: PushOptions,
): Promise<PushedFile[]> {
  const below = place.base + dataFolder(options);
  for (const { path } of found) requireKey(below + path, options.at, path);
  const files: PushedFile[] = [];
  const queue = found.values();
  const pushSome = async (signal: AbortSignal): Promise<void> => {
    for (const file of queue) {
      const push = async () => await pushFile(place, folder, file, below, { ...options, signal });
      files.push(await retry(push, { ...RETRY_PAUSES, tries: TRIES, signal }));
    }
  };
  await all(
    options.signal,
    Array.from({ length: AT_ONCE }, () => pushSome),
  );
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function requireKey(key: string, folder: string, path: string): void {
  if (Buffer.byteLength(key) <= KEY_BYTES) return;
  const file = shownPath(`${folder}/${path}`);
  const message = `${file} would have a key of more than ${KEY_BYTES} bytes in the bucket: shorten its name, or the prefix.`;
  throw new OrderFailure('output_not_a_file', { message, file });
}

async function pushFile(
  { calls }: OpenPlace,
  folder: string,
  { path, size: maxBytes }: CollectedFile,
  below: string,
  { at, signal }: PushOptions,
): Promise<PushedFile> {
  const { ObjectUpload, partBytesFor } = await import('@morpheo/service/buckets');
  await using output = await openOutput(folder, path, { at, maxBytes });
  const partBytes = partBytesFor(output.size, calls.tuning.partBytes);
  await using upload = new ObjectUpload(calls, below + path, { partBytes, signal });
  for await (const piece of output.file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 })) {
    signal.throwIfAborted();
    await upload.write(piece);
  }
  const measured = await upload.end();
  await upload.complete(measured);
  return { name: path, size: measured.size, sha256: measured.digest };
}

/** Removes what earlier attempts have pushed: the manifest tells of none of it any more. */
async function removeEarlier(place: OpenPlace, { order, attempt, signal }: PushOptions): Promise<void> {
  const { deleteObject, listObjects } = await import('@morpheo/service/buckets');
  const below = `${place.base}${order}/`;
  for await (const { name } of listObjects(place.calls, below, signal)) {
    const of = attemptOf(`${order}/${name}`);
    if (of !== undefined && of.attempt < attempt) await deleteObject(place.calls, below + name);
  }
}
