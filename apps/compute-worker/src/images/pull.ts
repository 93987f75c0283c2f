import { imageText, OrderFailure, PlatformError, parsePinnedImage, withTimeout } from '@morpheo/common';
import type { Cache } from '../inputs/cache/index.ts';
import type { ContainerRuntime, OutputChunk, PreparedImage } from '../runtime/index.ts';
import { formatBytes, formatDuration } from '../steps/format.ts';
import { fetchImage, orFailure } from './fetch.ts';
import type { ImagePolicy } from './policy.ts';

/** What {@link pullImage} works with. */
export interface PullOptions {
  readonly policy: ImagePolicy;
  readonly runtime: ContainerRuntime;
  readonly cache: Cache;
  readonly signal: AbortSignal;
  /** A line for the log of the order. */
  readonly log: (line: string) => void;
  readonly onOutput: (chunk: OutputChunk) => Promise<void>;
  /** How often the log says how far it is, in milliseconds. */
  readonly progressMs: number;
}

/**
 * Makes the image of a registry ready to run: fetched where the runtime has it not, and only where the operator allows
 * it, whoever has fetched it before. Throws as {@link fetchImage} and the runtime's `load` do; `unavailable` where it
 * takes too long, with what has come kept for the next try.
 */
export async function pullImage(text: string, options: PullOptions): Promise<PreparedImage> {
  const { policy, runtime, cache, signal, log, onOutput, progressMs } = options;
  const reference = parsePinnedImage(text);
  const name = `${reference.registry}/${reference.repository}`;
  await orFailure(async () => policy.registries.demandAllowed(reference));
  if (runtime.load === undefined) {
    const message = `The runtime ${runtime.name} of this worker runs no images: ${imageText(reference)} needs Docker.`;
    throw new OrderFailure('worker_unfit', { message, step: 'build' });
  }
  const say = (line: string) => log(`image ${name}: ${line}`);
  let far = 'it is looked for';
  const timer = setInterval(() => say(`${far} by now`), progressMs);
  const onBytes = (come: number, total: number) => {
    far =
      come < total ? `${formatBytes(come)} of ${formatBytes(total)} came` : 'all came, and it is made ready';
  };
  const { registries, bytes } = policy;
  const fetch = async (stop: AbortSignal) =>
    await fetchImage(reference, { registries, bytes, cache, runtime }, { say, onBytes }, stop);
  const load = runtime.load.bind(runtime);
  const late = () => {
    const message = `The image ${imageText(reference)} was not there within ${formatDuration(policy.wallMs)}: ${far}. It goes on from there when it is tried again.`;
    return new PlatformError('unavailable', message);
  };
  try {
    const digest = reference.digest.slice('sha256:'.length);
    const prepared = await withTimeout(policy.wallMs, signal, late, (stop) =>
      load({ digest, fetch }, { signal: stop, onOutput }),
    );
    say(prepared.cached ? 'it is there already' : 'it is ready');
    return prepared;
  } finally {
    clearInterval(timer);
  }
}
