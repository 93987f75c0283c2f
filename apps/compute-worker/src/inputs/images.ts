import { createReadStream } from 'node:fs';
import { OrderFailure, withTimeout } from '@morpheo/common';
import type { TreeLimits } from '@morpheo/service/archive';
import { ArchiveError, unpackArchive } from '@morpheo/service/archive';
import type { ContainerRuntime, OutputChunk, PreparedImage } from '../runtime/index.ts';
import { formatDuration } from '../steps/format.ts';
import type { Cache, Cached } from './cache/index.ts';
import { nameOf } from './download.ts';
import type { InputBlob } from './fetch.ts';

/** An image that is ready to run, and the build context it is made of, which stays until it is disposed. */
export interface Image {
  readonly prepared: PreparedImage;
  /** SHA-256 of the build context's archive. */
  readonly digest: string;
  [Symbol.dispose](): void;
}

/** What {@link prepareImage} works with. */
export interface ImageOptions {
  readonly cache: Cache;
  readonly runtime: ContainerRuntime;
  readonly limits: TreeLimits;
  /** How long making it ready may take, in milliseconds. */
  readonly wallMs: number;
  readonly signal: AbortSignal;
  /** The build's log. */
  readonly onOutput: (chunk: OutputChunk) => Promise<void>;
}

/**
 * The image of a build context: unpacked once per digest, and built once per digest. Throws `OrderFailure` with
 * `build_failed` where the archive or its Dockerfile is at fault.
 */
export async function prepareImage(archive: InputBlob, options: ImageOptions): Promise<Image> {
  const { cache, runtime, signal, onOutput } = options;
  const { digest } = archive;
  const make = (into: string) => unpackContext(archive, into, options);
  const context: Cached = await cache.use({ area: 'contexts', key: digest, signal, make });
  try {
    const build = (stop: AbortSignal) =>
      runtime.prepare({ digest, folder: context.path }, { signal: stop, onOutput });
    const prepared = await withTimeout(options.wallMs, signal, () => tooLong(archive, options.wallMs), build);
    const dispose = () => {
      prepared.release?.();
      context[Symbol.dispose]();
    };
    return { prepared, digest, [Symbol.dispose]: dispose };
  } catch (error) {
    context[Symbol.dispose]();
    throw error;
  }
}

function tooLong(archive: InputBlob, wallMs: number): OrderFailure {
  const limit = formatDuration(wallMs);
  const message = `The image of ${nameOf(archive)} was not built within ${limit}.`;
  return new OrderFailure('build_too_slow', { message, limit, step: 'build' });
}

async function unpackContext(archive: InputBlob, into: string, options: ImageOptions): Promise<number> {
  try {
    const source = createReadStream(archive.path);
    const { bytes } = await unpackArchive(source, into, options.limits, options.signal);
    return bytes;
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    const message = `The build context of ${nameOf(archive)} cannot be used. ${error.message}`;
    throw new OrderFailure('build_archive_broken', { message, step: 'build' }, error);
  }
}
