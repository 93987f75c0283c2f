import { span } from '@morpheo/service/trace';
import pLimit from 'p-limit';
import { type Task, together } from '../abort.ts';
import { type BlobName, nameOf } from '../download.ts';
import { count, formatBytes } from '../format.ts';
import { type Image, prepareImage } from '../images.ts';
import type { InputBlob } from '../inputs.ts';
import { treeLimits } from '../limits.ts';
import { StepOfPieces } from '../told-step.ts';
import type { AttemptTools } from './attempt-tools.ts';

/** What a workflow needs before its first container can run. */
export interface Wanted {
  /** The build contexts to make images of. */
  readonly contexts: readonly BlobName[];
  readonly blobs: readonly BlobName[];
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
export async function gather(wanted: Wanted, tools: AttemptTools): Promise<Gathered> {
  const { feed, held } = tools;
  const blobNames = unique(wanted.blobs);
  const blobs = new Map<string, InputBlob>();
  const images = new Map<string, Image>();
  const fetching = new StepOfPieces(feed, 'inputs', blobNames.length + wanted.contexts.length);
  const building = new StepOfPieces(feed, 'build', wanted.contexts.length);

  async function download(name: BlobName, signal: AbortSignal): Promise<InputBlob> {
    return await span('download input', { type: name.type, uuid: name.uuid }, async (told) => {
      const blob = await tools.inputs.fetch(name, signal);
      told.set({ bytes: blob.bytes, cached: blob.cached });
      return blob;
    });
  }

  async function fetch(name: BlobName, signal: AbortSignal): Promise<InputBlob> {
    return await fetching.piece(async () => {
      const blob = held.use(await download(name, signal));
      tools.meters?.inputCame(blob.bytes, blob.cached);
      blobs.set(nameOf(name), blob);
      if (blobs.size === blobNames.length + wanted.contexts.length)
        feed.say('inputs', summary([...blobs.values()]));
      return blob;
    });
  }

  async function build(name: BlobName, signal: AbortSignal): Promise<void> {
    const archive = await fetch(name, signal);
    await building.piece(async (facts) => {
      const onOutput = feed.outputOf('build');
      const bounds = { limits: treeLimits(tools.limits), wallMs: tools.limits.wallMs[tools.kind] };
      const image = await span('prepare image', { type: name.type, uuid: name.uuid }, async (told) => {
        const made = held.use(await prepareImage(archive, { ...tools, ...bounds, signal, onOutput }));
        told.set({ cached: made.prepared.cached });
        return made;
      });
      tools.meters?.imageCame(image.prepared.cached);
      images.set(nameOf(name), image);
      facts.cached = (facts.cached ?? true) && image.prepared.cached;
      feed.say('build', `build: ${nameOf(name)} is ${image.prepared.cached ? 'there already' : 'ready'}`);
    });
  }

  const inTurn = pLimit(AT_ONCE);
  const tasks: Task<unknown>[] = [
    ...wanted.contexts.map((name) => (signal: AbortSignal) => build(name, signal)),
    ...blobNames.map((name) => (signal: AbortSignal) => inTurn(async () => await fetch(name, signal))),
  ];
  await together(tools.signal, tasks);
  return { image: (name) => gathered(images, name), blob: (name) => gathered(blobs, name) };
}

function unique(names: readonly BlobName[]): BlobName[] {
  return [...new Map(names.map((name) => [nameOf(name), name])).values()];
}

function summary(blobs: readonly InputBlob[]): string {
  const bytes = blobs.reduce((sum, blob) => sum + blob.bytes, 0);
  const cached = blobs.filter((blob) => blob.cached).length;
  return `inputs: ${count(blobs.length, 'blob')}, ${formatBytes(bytes)}, ${cached} cached`;
}

function gathered<T>(things: ReadonlyMap<string, T>, name: BlobName): T {
  const thing = things.get(nameOf(name));
  if (thing === undefined) throw new Error(`${nameOf(name)} was not asked for`);
  return thing;
}
