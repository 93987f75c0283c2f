import { createReadStream } from 'node:fs';
import { OrderFailure } from '@morpheo/common';
import { within } from './abort.ts';
import { ArchiveError } from './archive/archive-error.ts';
import { unpackArchive } from './archive/unpack.ts';
import type { Cache, Cached } from './cache/index.ts';
import type { ContainerRuntime, OutputChunk, PreparedImage } from './container-runtime/index.ts';
import { nameOf } from './download.ts';
import { formatDuration } from './format.ts';
import type { InputBlob } from './inputs.ts';
import type { TreeLimits } from './tree-limits.ts';

/** An image that is ready to run, and the build context it is made of, which stays until it is disposed. */
export interface Image {
  readonly prepared: PreparedImage;
  /** SHA-256 of the build context's archive. */
  readonly digest: string;
  [Symbol.dispose](): void;
}

/** What {@link prepareImage} works with. */
export interface ImageTools {
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
export async function prepareImage(archive: InputBlob, tools: ImageTools): Promise<Image> {
  const { cache, runtime, signal, onOutput } = tools;
  const { digest } = archive;
  const make = (into: string) => unpackContext(archive, into, tools);
  const context: Cached = await cache.use({ area: 'contexts', key: digest, signal, make });
  try {
    const build = (stop: AbortSignal) =>
      runtime.prepare({ digest, folder: context.path }, { signal: stop, onOutput });
    const prepared = await within(tools.wallMs, signal, () => tooLong(archive, tools.wallMs), build);
    return { prepared, digest, [Symbol.dispose]: () => context[Symbol.dispose]() };
  } catch (error) {
    context[Symbol.dispose]();
    throw error;
  }
}

function tooLong(archive: InputBlob, wallMs: number): OrderFailure {
  const limit = formatDuration(wallMs);
  const message = `The image of ${nameOf(archive)} was not built within ${limit}.`;
  return new OrderFailure({ reason: 'timed_out', message, limit, step: 'build' });
}

async function unpackContext(archive: InputBlob, into: string, tools: ImageTools): Promise<number> {
  try {
    const source = createReadStream(archive.path);
    const { bytes } = await unpackArchive(source, into, tools.limits, tools.signal);
    return bytes;
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    const message = `The build context of ${nameOf(archive)} cannot be used. ${error.message}`;
    throw new OrderFailure({ reason: 'build_failed', message, step: 'build' }, error);
  }
}
