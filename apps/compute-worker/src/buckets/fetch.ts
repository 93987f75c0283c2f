import { createHash } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import {
  abortable,
  all,
  type BucketPlace,
  isPlatformError,
  OrderFailure,
  PlatformError,
  retry,
} from '@morpheo/common';
import type { TreeLimits } from '@morpheo/service/archive';
import { RETRY_PAUSES } from '../inputs/download.ts';
import type { Connections, OpenPlace } from './connections.ts';
import { atPlace, ofStep } from './errors.ts';
import { attemptOf, MANIFEST, type Manifest, readManifest } from './manifest.ts';
import { FolderPlan } from './places.ts';

/** What {@link fetchPrefix} needs to know. */
export interface FetchOptions {
  /** Whose order it is; undefined: nobody's. */
  readonly owner: string | undefined;
  /** The bounds of what comes: how many objects, how many bytes, how deep, how long names. */
  readonly limits: TreeLimits;
  readonly signal: AbortSignal;
}

/** What came. */
export interface Fetched {
  readonly files: number;
  readonly bytes: number;
}

/** An object that is to become a file, and what it must be. */
interface Wanted {
  readonly key: string;
  readonly path: string;
  readonly size: number;
  /** As it was listed. */
  readonly etag?: string;
  /** As the manifest says. */
  readonly sha256?: string;
}

const AT_ONCE = 8;
const TRIES = 4;

/** Fetches all that is at a place into a folder, which it makes. See the contract of this folder. */
export async function fetchPrefix(
  connections: Connections,
  from: BucketPlace,
  into: string,
  options: FetchOptions,
): Promise<Fetched> {
  return await ofStep('inputs', async () => {
    using place = await connections.open(from, { owner: options.owner, use: 'read' });
    return await atPlace(place, async () => await fetchAll(place, into, options));
  });
}

async function fetchAll(place: OpenPlace, into: string, { limits, signal }: FetchOptions): Promise<Fetched> {
  const plan = new FolderPlan(limits, place.name);
  const manifest = await readManifest(place, signal);
  const wanted =
    manifest === null || manifest === 'foreign'
      ? await listed(place, plan, signal)
      : manifested(place, plan, manifest);
  await mkdir(into, { recursive: true });
  for (const folder of plan.folders()) await mkdir(join(into, folder));
  const queue = wanted.values();
  const fetchSome = async (stop: AbortSignal): Promise<void> => {
    for (const one of queue) await fetchFile(place, one, into, stop);
  };
  await all(
    signal,
    Array.from({ length: AT_ONCE }, () => fetchSome),
  );
  return { files: wanted.length, bytes: wanted.reduce((sum, { size }) => sum + size, 0) };
}

function manifested({ base }: OpenPlace, plan: FolderPlan, { data, files }: Manifest): Wanted[] {
  return files.map(({ name: path, size, sha256 }) => {
    plan.addFile(path, size);
    return { key: base + data + path, path, size, sha256 };
  });
}

async function listed(place: OpenPlace, plan: FolderPlan, signal: AbortSignal): Promise<Wanted[]> {
  const { listObjects } = await import('@morpheo/service/buckets');
  const wanted: Wanted[] = [];
  for await (const { name: path, size, etag } of listObjects(place.calls, place.base, signal)) {
    const isMarker = size === 0 && (path === '' || path.endsWith('/'));
    if (isMarker && path !== '') plan.addFolder(path.slice(0, -1));
    if (isMarker) continue;
    plan.addFile(path, size);
    // Gateways have none for files that came there past them.
    const listedAs = etag === '' ? {} : { etag };
    wanted.push({ key: place.base + path, path, size, ...listedAs });
  }
  if (wanted.length === 0) {
    const message = `There is nothing at ${place.name()}.`;
    throw new OrderFailure('prefix_missing', { message, file: place.name() });
  }
  requireWhole(place, wanted);
  return wanted;
}

/** Throws where among the objects are those of an attempt whose outputs have no manifest (yet). */
function requireWhole(place: OpenPlace, wanted: readonly Wanted[]): void {
  const paths = new Set(wanted.map(({ path }) => path));
  for (const { path } of wanted) {
    const attempt = attemptOf(path);
    if (attempt === undefined || paths.has(attempt.prefix + MANIFEST)) continue;
    const file = place.name(attempt.prefix);
    const message = `The outputs at ${file} are not whole: the order that writes them has not ended, or was lost.`;
    throw new OrderFailure('prefix_not_whole', { message, file });
  }
}

async function fetchFile(place: OpenPlace, wanted: Wanted, into: string, signal: AbortSignal): Promise<void> {
  const { path } = wanted;
  try {
    const fetch = async () => await fetchOnce(place, wanted, join(into, path), signal);
    await retry(fetch, { ...RETRY_PAUSES, tries: TRIES, signal });
  } catch (error) {
    if (!isPlatformError(error, 'precondition_failed', 'not_found', 'digest_mismatch')) throw error;
    const file = place.name(path);
    const message = `The object ${file} changed, or went, while the order read it.`;
    throw new OrderFailure('prefix_changed', { message, file }, error);
  }
}

async function fetchOnce(place: OpenPlace, wanted: Wanted, file: string, signal: AbortSignal): Promise<void> {
  const { readObject } = await import('@morpheo/service/buckets');
  const { key, etag, size, sha256 } = wanted;
  const stream = await readObject(place.calls, key, { what: `object ${wanted.path}`, etag, signal });
  const hash = createHash('sha256');
  let came = 0;
  await using handle = await open(file, 'w', 0o644);
  for await (const piece of piecesOf(stream, signal)) {
    came += piece.byteLength;
    if (came > size) break;
    if (sha256 !== undefined) hash.update(piece);
    await handle.writeFile(piece);
  }
  if (came !== size || (sha256 !== undefined && hash.digest('hex') !== sha256))
    throw new PlatformError('digest_mismatch', `The object ${wanted.path} is not what was told of it.`);
}

async function* piecesOf(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await abortable(reader.read(), signal);
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
