import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { isPlatformError, NIL_UUID, OrderFailure, type Resource } from '@morpheo/common';
import pLimit from 'p-limit';
import type { Cache, Cached } from './cache/index.ts';
import { type BlobName, download, type InputStorage, nameOf } from './download.ts';
import { answered, patiently } from './patience.ts';

/** An input that is here, as a file that must not be written to. It stays until it is disposed. */
export interface InputBlob extends Cached, BlobName {
  /** SHA-256 as hexadecimal digits. */
  readonly digest: string;
}

/** Brings what orders need from storage, each blob once however many want it. */
export interface Inputs {
  /** What storage knows of a thing. Throws `OrderFailure` with `input_not_found` where it knows none. */
  describe(name: BlobName, signal: AbortSignal): Promise<Resource>;
  /** The bytes of a thing, verified by digest. Throws as `describe` does, and the storage's errors. */
  fetch(name: BlobName, signal: AbortSignal): Promise<InputBlob>;
}

const DOWNLOADS_AT_ONCE = 8;

/** Makes the {@link Inputs} of a worker. */
export function createInputs({ storage, cache }: { storage: InputStorage; cache: Cache }): Inputs {
  const inTurn = pLimit(DOWNLOADS_AT_ONCE);

  async function describe(name: BlobName, signal: AbortSignal): Promise<Resource> {
    if (name.uuid === NIL_UUID) throw notFound(name, `The order names no ${name.type}.`);
    return await found(name, async () => {
      const params = { type: name.type, uuid: name.uuid };
      const get = (stop: AbortSignal) => storage.get({ params }, { signal: stop });
      return await patiently({ retries: 3, signal }, () => answered('storage-api', signal, get));
    });
  }

  async function fetch(name: BlobName, signal: AbortSignal): Promise<InputBlob> {
    const { sha256, size } = await describe(name, signal);
    const cached = await cache.use({
      area: 'blobs',
      key: sha256,
      signal,
      prove: async (path) => (await hashFile(path)) === sha256,
      make: async (into) => {
        const bring = () => download(storage, { ...name, sha256, size }, into, signal);
        await found(name, () => inTurn(bring));
        return size;
      },
    });
    return { ...name, ...cached, digest: sha256 };
  }

  return { describe, fetch };
}

/** The SHA-256 of a file, as hexadecimal digits. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function found<T>(name: BlobName, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (isPlatformError(error, 'not_found'))
      throw notFound(name, `There is no ${nameOf(name)} on storage.`, error);
    throw error;
  }
}

function notFound(name: BlobName, what: string, cause?: unknown): OrderFailure {
  const message = `${what} ${name.type === 'model' ? 'Train it' : 'Upload it'}, or correct the order.`;
  return new OrderFailure({ reason: 'input_not_found', message, step: 'inputs' }, cause);
}
