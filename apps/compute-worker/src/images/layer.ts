import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { errnoOf, OrderFailure } from '@morpheo/common';
import { ArchiveError, ArchiveReader } from '@morpheo/service/archive';
import type { LayerForm } from '@morpheo/service/registry';
import { formatBytes } from '../steps/format.ts';

/** What the layers of one image may unpack to, together. */
export interface UnpackedLimits {
  readonly bytes: number;
  /** Files, folders and all else that has a name. */
  readonly files: number;
}

/** How much of its limits an image has used. */
export class UnpackedBudget {
  readonly #limits: UnpackedLimits;
  #bytes = 0;
  #files = 0;

  constructor(limits: UnpackedLimits) {
    this.#limits = limits;
  }

  /** Throws `OrderFailure` with `image_too_large` where the image has more than it may. */
  add({ bytes = 0, files = 0 }: Partial<UnpackedLimits>): void {
    this.#bytes += bytes;
    this.#files += files;
    if (this.#bytes > this.#limits.bytes) this.#refuse(formatBytes(this.#limits.bytes));
    if (this.#files > this.#limits.files) this.#refuse(`${this.#limits.files} files`);
  }

  #refuse(limit: string): never {
    const message = `The image unpacks to more than ${limit}, the most that this worker takes.`;
    throw new OrderFailure('image_too_large', { message, limit, step: 'build' });
  }
}

/** By these first bytes (hexadecimal) a daemon would take a layer for one that is packed once more, and unpack it itself. */
const PACKED = /^(?:1f8b|425a68|fd377a585a|28b52ffd|5[0-9a-f]2a4d18)/;
const HEAD_BYTES = 8;

/**
 * Reads the file of a layer to its end, and says how large the tar archive in it is, and its SHA-256 as hexadecimal
 * digits. Throws `OrderFailure` where it is none, is one of a form that is not understood to the byte, or goes beyond the
 * budget.
 */
export async function measureLayer(
  path: string,
  form: LayerForm,
  budget: UnpackedBudget,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  let head = '';
  async function* measured(): AsyncGenerator<Uint8Array> {
    for await (const chunk of unpackedLayer(path, form, signal)) {
      if (head.length < 2 * HEAD_BYTES) head += Buffer.from(chunk.subarray(0, HEAD_BYTES)).toString('hex');
      if (PACKED.test(head)) throw invalidLayer('It is packed twice.');
      bytes += chunk.byteLength;
      budget.add({ bytes: chunk.byteLength });
      hash.update(chunk);
      yield chunk;
    }
  }
  try {
    for await (const _ of new ArchiveReader(measured(), false).entries(signal)) budget.add({ files: 1 });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ArchiveError) throw invalidLayer(error.message, error);
    throw error;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** The tar archive in the file of a layer. Throws `OrderFailure` where its packing is damaged. */
export async function* unpackedLayer(
  path: string,
  form: LayerForm,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const file = createReadStream(path);
  if (form === 'tar') {
    yield* file as AsyncIterable<Uint8Array>;
    return;
  }
  const inflate = form === 'gzip' ? createGunzip() : createZstdDecompress();
  pipeline(file, inflate, { signal }).catch(() => undefined);
  try {
    yield* inflate as AsyncIterable<Uint8Array>;
  } catch (error) {
    signal.throwIfAborted();
    if (!/^(?:Z_|ZSTD_|ERR_ZSTD)/.test(errnoOf(error) ?? '')) throw error;
    throw invalidLayer(`Its bytes are not packed with ${form}, or damaged.`, error);
  } finally {
    inflate.destroy();
  }
}

function invalidLayer(problem: string, cause?: unknown): OrderFailure {
  const message = `A layer of the image cannot be used. ${problem}`;
  return new OrderFailure('image_invalid', { message, step: 'build' }, cause);
}
