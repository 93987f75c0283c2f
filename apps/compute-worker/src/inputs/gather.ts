import { all, type Task } from '@morpheo/common';
import pLimit from 'p-limit';
import type { Attempt } from '../attempt/attempt.ts';
import { count } from '../steps/format.ts';
import { type BlobName, nameOf } from './download.ts';
import type { InputBlob } from './fetch.ts';
import type { Image } from './images.ts';

/** What a workflow needs before its first container can run. */
export interface Needs {
  /** The build contexts to make images of. */
  readonly contexts: readonly BlobName[];
  readonly blobs: readonly BlobName[];
  /** Called when all blobs are here, while images may still be made ready. */
  readonly onBlobs?: (blob: Gathered['blob']) => void;
  /** Called when an image is ready, while all else may still load. */
  readonly onImage?: (name: BlobName, image: Image) => void;
}

/** All of it by name, in use until the attempt ends. */
export interface Gathered {
  image(name: BlobName): Image;
  blob(name: BlobName): InputBlob;
}

/** An order may have thousands of data sets: so many are asked for at once, for storage's sake and the loop's. */
const AT_ONCE = 32;

/**
 * Fetches inputs side by side, and makes images ready while the rest still loads. The first failure stops all of it
 * and is thrown.
 */
export async function gather(
  { contexts, blobs, onBlobs, onImage }: Needs,
  attempt: Attempt,
): Promise<Gathered> {
  const names = [...new Map(blobs.map((name) => [nameOf(name), name])).values()];
  const total = contexts.length + names.length;
  const fetching = attempt.span('inputs', total);
  const building = attempt.span('build', contexts.length);
  const fetched = new Map<string, InputBlob>();
  const images = new Map<string, Image>();

  const blob = (name: BlobName) => byName(fetched, name);

  const fetch = async (name: BlobName, signal: AbortSignal): Promise<InputBlob> =>
    await fetching.piece(async () => {
      const came = await attempt.fetch(name, signal);
      fetched.set(nameOf(name), came);
      // Neither their size nor whether they were here already: both would tell of the bytes of others.
      if (fetched.size === total) attempt.log('inputs', `inputs: ${count(total, 'blob')}`);
      return came;
    });

  const build = async (name: BlobName, signal: AbortSignal): Promise<void> => {
    const archive = await fetch(name, signal);
    const make = async () => await attempt.image(archive, signal);
    const image = await building.piece(make, ({ prepared: { cached } }) => ({ cached }));
    images.set(nameOf(name), image);
    onImage?.(name, image);
  };

  const inTurn = pLimit(AT_ONCE);
  const tasks: Task<unknown>[] = [
    ...contexts.map((name) => (signal: AbortSignal) => build(name, signal)),
    async (signal) => {
      const tasks = names.map((name) => (stop: AbortSignal) => inTurn(async () => await fetch(name, stop)));
      await all(signal, tasks);
      onBlobs?.(blob);
    },
  ];
  await all(attempt.signal, tasks);
  return { image: (name) => byName(images, name), blob };
}

function byName<T>(things: ReadonlyMap<string, T>, name: BlobName): T {
  const thing = things.get(nameOf(name));
  if (thing === undefined) throw new Error(`${nameOf(name)} was not asked for`);
  return thing;
}
