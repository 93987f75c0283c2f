import { Readable } from 'node:stream';
import { OrderFailure } from '@morpheo/common';
import { type TarEntry, tarOf } from '@morpheo/service/archive';
import type Docker from 'dockerode';
import { z } from 'zod';
import { checkedVolume } from '../../dockerfile/plan/declarations.ts';
import { checkedRunner, labelsOfImage } from '../../dockerfile/plan/runner-labels.ts';
import type { FetchedImage, RunnerDeclaration } from '../../index.ts';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import { LABEL_PREFIX } from '../labels.ts';
import { recordsOf } from './build-records.ts';
import { loadFailure } from './daemon-failure.ts';

/** What an image of a registry says of itself that matters to its runs. */
const configuration = z.object({
  config: z
    .object({
      Labels: z.record(z.string(), z.string()).nullish(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
});

/**
 * Brings an image into the daemon, under a name, in the form of `docker save` that all daemons read. Throws `OrderFailure`
 * where the image is at fault; what the daemon could not do is `unavailable` or `disk_full`.
 */
export async function loadImage(
  daemon: Daemon,
  name: string,
  image: FetchedImage,
  signal: AbortSignal,
): Promise<void> {
  demandOfUse(image);
  const tar = Readable.from(tarOf(savedForm(name, image, signal)));
  const listening = new AbortController();
  // What the archive cannot give ends the request; the daemon drops what it has got of it.
  tar.on('error', (error) => listening.abort(error));
  const query = { quiet: true, abortSignal: AbortSignal.any([signal, listening.signal]) };
  try {
    const ask = async (docker: Docker) => await docker.loadImage(tar, query);
    const answer = await daemon.ask('load an image', ask, { signal, ms: Number.POSITIVE_INFINITY });
    for await (const record of recordsOf(answer, daemon, 'load an image'))
      if (record.kind === 'error') throw loadFailure(record.message);
  } catch (error) {
    signal.throwIfAborted();
    listening.signal.throwIfAborted();
    if (isAnswer(error, 400)) throw loadFailure(error.said, error);
    throw error;
  } finally {
    tar.destroy();
    listening.abort();
  }
}

/** The volumes of an image as its configuration has them; throws `image_invalid` for one that would hide what a container needs. */
export function volumesOf(declared: Readonly<Record<string, unknown>> | null | undefined): string[] {
  return ofRegistry(() =>
    Object.keys(declared ?? {}).map((path) => checkedVolume(path, undefined, 'the image')),
  );
}

/** What the labels of an image declare of a runner; throws `image_invalid` for values that are not known. */
export function runnerOf(
  labels: Readonly<Record<string, string>> | null | undefined,
): RunnerDeclaration | undefined {
  return ofRegistry(() => checkedRunner(labelsOfImage(labels)));
}

/** What is said of Dockerfiles, said of an image that came from elsewhere. */
function ofRegistry<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof OrderFailure)) throw error;
    throw new OrderFailure('image_invalid', { message: error.failure.message, step: 'build' }, error);
  }
}

/** An image with labels like ours would be taken for what we made. */
function demandOfUse({ config: bytes }: FetchedImage): void {
  const { config } = configuration.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  volumesOf(config?.Volumes);
  runnerOf(config?.Labels);
  const label = Object.keys(config?.Labels ?? {}).find((key) => key.startsWith(LABEL_PREFIX));
  if (label === undefined) return;
  const message = `The image has the label ${label.slice(0, 200)}: those that begin with ${LABEL_PREFIX} are the platform's own.`;
  throw new OrderFailure('image_invalid', { message, step: 'build' });
}

async function* savedForm(
  name: string,
  { config, layers }: FetchedImage,
  signal: AbortSignal,
): AsyncGenerator<TarEntry> {
  const file = (path: string, size: number, bytes: AsyncIterable<Uint8Array>) =>
    ({ name: path, type: 'file', size, mode: 0o644, bytes }) as const;
  const paths = layers.map((_, nth) => `${nth}.tar`);
  for (const [nth, layer] of layers.entries()) yield file(paths[nth] ?? '', layer.bytes, layer.open(signal));
  yield file('config.json', config.byteLength, once(config));
  const manifest = Buffer.from(JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: paths }]));
  yield file('manifest.json', manifest.byteLength, once(manifest));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
