import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import {
  isPlatformError,
  type MeasuredResource,
  measured,
  NIL_UUID,
  OrderFailure,
  retry,
} from '@morpheo/common';
import pLimit from 'p-limit';
import { callPeer } from '../clients.ts';
import type { Cache, Cached } from './cache/index.ts';
import { type BlobName, download, type InputStorage, nameOf, RETRY_PAUSES } from './download.ts';

/** An input that is here, as a file that must not be written to. It stays until it is disposed. */
export interface InputBlob extends Cached, BlobName {
  /** SHA-256 as hexadecimal digits. */
  readonly digest: string;
}

const DOWNLOADS_AT_ONCE = 8;

/** Fetches what orders need from storage, each blob once however many want it. */
export class Inputs {
  readonly #cache: Cache;
  readonly #inTurn = pLimit(DOWNLOADS_AT_ONCE);

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** What storage, as the attempt sees it, knows of a thing. Throws `OrderFailure` with `input_not_found` where it knows none. */
  async describe(name: BlobName, storage: InputStorage, signal: AbortSignal): Promise<MeasuredResource> {
    if (name.uuid === NIL_UUID) throw notFound(name, `The order names no ${name.type}.`);
    const params = { type: name.type, uuid: name.uuid };
    const get = async () =>
      await callPeer('storage-api', signal, (stop) => storage.get({ params }, { signal: stop }));
    return measured(
      await orNotFound(name, async () => await retry(get, { ...RETRY_PAUSES, tries: 4, signal })),
    );
  }

  /** The bytes of a thing, verified by digest. Throws as `describe` does, and the storage's errors. */
  async fetch(name: BlobName, storage: InputStorage, signal: AbortSignal): Promise<InputBlob> {
    const { sha256, size } = await this.describe(name, storage, signal);
    const cached = await this.#cache.use({
      area: 'blobs',
      key: cacheKey(name, sha256),
      signal,
      prove: async (path) => (await hashFile(path)) === sha256,
      make: async (into) => {
        const fetch = () => download(storage, { ...name, sha256, size }, into, signal);
        await orNotFound(name, () => this.#inTurn(fetch));
        return size;
      },
    });
    return { ...name, ...cached, digest: sha256 };
  }
}

/**
 * What the cache keeps a blob by, as 64 hexadecimal digits. Data, and what jobs made of them, are kept by their id as
 * well: that equal bytes of somebody else are here already would confirm a guess at them.
 */
export function cacheKey({ type, uuid }: BlobName, sha256: string): string {
  const isHidden = type === 'data' || type === 'prediction' || type === 'output';
  return isHidden ? createHash('sha256').update(`${sha256} ${uuid}`).digest('hex') : sha256;
}

/** The SHA-256 of a file, as hexadecimal digits. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function orNotFound<T>(name: BlobName, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (isPlatformError(error, 'not_found'))
      throw notFound(name, `There is no ${nameOf(name)} on storage.`, error);
    throw error;
  }
}

function notFound(name: BlobName, problem: string, cause?: unknown): OrderFailure {
  const message = `${problem} ${name.type === 'model' ? 'Train it' : 'Upload it'}, or correct the order.`;
  return new OrderFailure('inputs_missing', { message, step: 'inputs' }, cause);
}
