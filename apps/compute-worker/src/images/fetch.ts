import { createHash } from 'node:crypto';
import {
  type Architecture,
  all,
  architectureOf,
  isPlatformError,
  OrderFailure,
  type PinnedReference,
  PlatformError,
  retry,
} from '@morpheo/common';
import { findImage, ImageRefusal, type Registries, type RemoteLayer } from '@morpheo/service/registry';
import pLimit from 'p-limit';
import type { Cache, Cached } from '../inputs/cache/index.ts';
import { downloadFile, RETRY_PAUSES } from '../inputs/download.ts';
import { hashFile } from '../inputs/fetch.ts';
import type { ContainerRuntime, FetchedImage, FetchedLayer } from '../runtime/index.ts';
import { count, formatBytes } from '../steps/format.ts';
import { measureLayer, UnpackedBudget, unpackedLayer } from './layer.ts';

/** What images are fetched with, whichever. */
export interface FetchOptions {
  readonly registries: Registries;
  readonly cache: Cache;
  readonly runtime: Pick<ContainerRuntime, 'machine'>;
  /** What an image may have: packed, and unpacked, in bytes. */
  readonly bytes: number;
}

/** Who is told how far it is. */
export interface FetchProgress {
  /** A line for the log of the order. */
  readonly say: (line: string) => void;
  /** So many bytes of so many have come. */
  readonly onBytes: (come: number, total: number) => void;
}

const LAYERS_AT_ONCE = 3;
const MOST_FILES = 2_000_000;

/**
 * Fetches an image from its registry: what the worker's cache has not, in pieces that go on where they broke. Each digest
 * and size is checked, packed and unpacked. The layers stay in the cache until what is returned is disposed.
 *
 * Throws `OrderFailure` where the order asks for what cannot be had, or is no image for this worker; all else is the
 * platform's, and may be tried again.
 */
export async function fetchImage(
  reference: PinnedReference,
  options: FetchOptions,
  { say, onBytes }: FetchProgress,
  signal: AbortSignal,
): Promise<FetchedImage & Disposable> {
  const { registries, bytes } = options;
  const wanted = { architecture: await architectureFor(options.runtime, signal), bounds: { bytes } };
  const find = async () => await findImage(registries, reference, wanted, signal);
  const image = await orFailure(async () => await retry(find, { ...RETRY_PAUSES, tries: 4, signal }));
  const total = image.layers.reduce((sum, { size }) => sum + size, 0);
  say(`${count(image.layers.length, 'layer')} of ${formatBytes(total)}`);
  let come = 0;
  const tell = (more: number) => {
    come += more;
    onBytes(come, total);
  };
  using inUse = new DisposableStack();
  const budget = new UnpackedBudget({ bytes, files: MOST_FILES });
  const inTurn = pLimit(LAYERS_AT_ONCE);
  const tasks = image.layers.map(
    (layer) => (stop: AbortSignal) =>
      inTurn(async () => {
        stop.throwIfAborted();
        const cached = inUse.use(await cachedLayer(reference, layer, options, tell, stop));
        return await checkedLayer(cached, layer, budget, stop);
      }),
  );
  const layers = await orFailure(async () => await all(signal, tasks));
  say(come === 0 ? 'all layers were here already' : `${formatBytes(come)} came`);
  const held = inUse.move();
  return { config: image.configBytes, layers, [Symbol.dispose]: () => held.dispose() };
}

/**
 * A layer as its registry has it. It is kept by its registry as well: an image of one registry must not get at a layer
 * of another one, which gives it only to some, by naming its digest.
 */
async function cachedLayer(
  reference: PinnedReference,
  { digest, size }: RemoteLayer,
  { registries, cache }: FetchOptions,
  onBytes: (count: number) => void,
  signal: AbortSignal,
): Promise<Cached> {
  const sha256 = digest.slice('sha256:'.length);
  const ask = async (at: number, stop: AbortSignal) => await registries.blob(reference, digest, at, stop);
  const source = { server: reference.registry, name: `the layer ${digest}`, ask, onBytes };
  return await cache.use({
    area: 'layers',
    key: createHash('sha256').update(`${digest} ${reference.registry}`).digest('hex'),
    signal,
    prove: async (path) => (await hashFile(path)) === sha256,
    make: async (into) => {
      await downloadFile(source, { size, sha256 }, into, signal);
      return size;
    },
  });
}

async function checkedLayer(
  { path }: Cached,
  { form, diffId, digest }: RemoteLayer,
  budget: UnpackedBudget,
  signal: AbortSignal,
): Promise<FetchedLayer> {
  const { bytes, sha256 } = await measureLayer(path, form, budget, signal);
  if (`sha256:${sha256}` !== diffId) {
    const message = `The layer ${digest} of the image unpacks to other bytes than the image's configuration says: nothing of it is used.`;
    throw new OrderFailure('image_invalid', { message, step: 'build' });
  }
  return { bytes, open: (stop) => unpackedLayer(path, form, stop) };
}

async function architectureFor(runtime: FetchOptions['runtime'], signal: AbortSignal): Promise<Architecture> {
  const machine = await runtime.machine?.(signal);
  const architecture = machine === undefined ? undefined : architectureOf(machine);
  if (architecture !== undefined) return architecture;
  throw new PlatformError('unavailable', 'It is not known for which architecture this worker runs images.');
}

/** What is the order's doing, as the failure of the order that it is. */
export async function orFailure<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ImageRefusal)
      throw new OrderFailure(error.end, { message: error.message, step: 'build' }, error);
    if (!isPlatformError(error, 'digest_mismatch')) throw error;
    const message = `${error.message} Nothing of the image is used.`;
    throw new OrderFailure('image_invalid', { message, step: 'build' }, error);
  }
}
