import { Readable } from 'node:stream';
import { OrderFailure, PlatformError } from '@morpheo/common';
import type Docker from 'dockerode';
import { within } from '../../abort.ts';
import { tarTree } from '../../archive/tar-tree.ts';
import { formatBytes, formatDuration } from '../../format.ts';
import { buildFailure } from '../dockerfile/build-failure.ts';
import type { BuildContext, PrepareOptions } from '../index.ts';
import { readBuildRecords } from './build-records.ts';
import type { Daemon } from './daemon.ts';
import { explained, isAnswer } from './daemon-error.ts';
import { type Base, readRules } from './dockerfile-rules.ts';
import { imageName, LABELS } from './labels.ts';

/** The bounds of one build. */
export interface BuildLimits {
  readonly wallMs: number;
  /** Of what it prints. */
  readonly outputBytes: number;
  /** Of its RUN lines. */
  readonly memoryBytes: number;
}

const CPU_PERIOD = 100_000;

/**
 * Builds the image of a context in the daemon, and names it by the context's digest once it is whole. RUN lines have
 * no network, and a `.dockerignore` is not heeded: the archive holds what its maker packed. Whatever happens, no
 * container of the build is left: an abort ends it as well.
 *
 * Throws `OrderFailure` where the context is at fault, or too slow, or starts from an image that is not there; what
 * the daemon itself could not do is `unavailable` or `disk_full`.
 */
export async function buildImage(
  daemon: Daemon,
  context: BuildContext,
  dockerfile: string,
  limits: BuildLimits,
  options: PrepareOptions,
): Promise<void> {
  const { bases } = readRules(dockerfile);
  const late = () => tooLong(limits.wallMs);
  await within(limits.wallMs, options.signal, late, async (signal) => {
    try {
      await build(daemon, context, limits, { ...options, signal });
    } catch (error) {
      signal.throwIfAborted();
      if (isAnswer(error, 400)) throw buildFailure(sentence(error.said), undefined, error);
      if (error instanceof OrderFailure) throw (await missingBase(daemon, bases, error)) ?? error;
      throw error;
    }
  });
}

async function build(
  daemon: Daemon,
  { digest, folder }: BuildContext,
  { memoryBytes, outputBytes }: BuildLimits,
  { signal, onOutput }: PrepareOptions,
): Promise<void> {
  const { cpus } = await daemon.facts();
  const tar = Readable.from(tarTree(folder, { signal }));
  // Ends the request, whatever comes: the daemon stops a build that nobody listens to.
  const listening = new AbortController();
  const query = {
    t: imageName(digest),
    labels: { [LABELS.context]: digest },
    networkmode: 'none',
    memory: memoryBytes,
    memswap: memoryBytes,
    cpuperiod: CPU_PERIOD,
    cpuquota: cpus * CPU_PERIOD,
    rm: true,
    forcerm: true,
    pull: false,
    // The older builder: it heeds the bounds, wants no session, and asks no registry for a frontend.
    version: '1',
    abortSignal: AbortSignal.any([signal, listening.signal]),
  } satisfies Docker.ImageBuildOptions;
  const ask = async (docker: Docker) => await docker.buildImage(tar, query);
  const what = { signal, ms: Number.POSITIVE_INFINITY };
  try {
    const answer = await daemon.ask('build an image', ask, what);
    await follow(answer, daemon, outputBytes, onOutput);
  } finally {
    tar.destroy();
    listening.abort();
  }
}

async function follow(
  answer: AsyncIterable<unknown>,
  daemon: Daemon,
  outputBytes: number,
  onOutput: PrepareOptions['onOutput'],
): Promise<void> {
  let left = outputBytes;
  let isWhole = false;
  for await (const record of readBuildRecords(named(answer, daemon))) {
    if (record.kind === 'image') isWhole = true;
    if (record.kind === 'error') throw failureOf(record.message);
    if (record.kind !== 'text') continue;
    const bytes = Buffer.from(record.text);
    left -= bytes.byteLength;
    if (left < 0) throw buildFailure(`The build printed more than ${formatBytes(outputBytes)}.`);
    await onOutput({ stream: 'stdout', bytes });
  }
  if (!isWhole) {
    throw new PlatformError('unavailable', `The Docker daemon at ${daemon.address} did not end a build.`);
  }
}

/** Tells a broken connection from all else that may go wrong while an answer is read. */
async function* named(answer: AsyncIterable<unknown>, daemon: Daemon): AsyncGenerator<unknown> {
  try {
    yield* answer;
  } catch (error) {
    throw explained(error, 'build an image to its end', daemon.place);
  }
}

/** What the machine, and not the Dockerfile, is to blame for. */
const OURS =
  /context canceled|context deadline|shutting down|connection refused|containerd|input\/output error|read-only file system: unknown|docker-init/i;

function failureOf(message: string): OrderFailure | PlatformError {
  if (/no space left on device|disk quota exceeded/i.test(message)) {
    return new PlatformError(
      'disk_full',
      `The disk of the Docker daemon has no room: ${message.slice(0, 500)}`,
    );
  }
  if (OURS.test(message)) {
    return new PlatformError('unavailable', `The Docker daemon could not build: ${message.slice(0, 500)}`);
  }
  return buildFailure(sentence(message));
}

/** Of the images that a build needs, one that is not there: then that is why it failed. */
async function missingBase(
  daemon: Daemon,
  bases: readonly Base[],
  failure: OrderFailure,
): Promise<OrderFailure | undefined> {
  for (const { name, line } of bases) {
    try {
      await daemon.ask('look for an image', async (docker) => await docker.getImage(name).inspect());
    } catch (error) {
      if (!isAnswer(error, 404)) return undefined;
      const why = `the image ${name} is not on the Docker daemon of the worker, and cannot be pulled`;
      const remedy = 'Start from an image that is there, or ask whoever runs the worker to load this one';
      return buildFailure(`${why} (${failure.message.slice(0, 300)}). ${remedy}.`, line, failure);
    }
  }
  return undefined;
}

function tooLong(wallMs: number): OrderFailure {
  const limit = formatDuration(wallMs);
  const message = `The image was not built within ${limit}.`;
  return new OrderFailure({ reason: 'timed_out', message, limit, step: 'build' });
}

function sentence(text: string): string {
  const plain = text.replaceAll(/\s+/g, ' ').trim();
  return /[.!?]$/.test(plain) ? plain : `${plain}.`;
}
