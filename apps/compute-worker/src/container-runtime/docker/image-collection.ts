import type { Log } from '@morpheo/service/log';
import { z } from 'zod';
import { type Daemon, removed } from './daemon.ts';
import { isAnswer } from './daemon-error.ts';
import { dialJson } from './dial.ts';
import { IMAGES, LABELS } from './labels.ts';

/** What {@link collectImages} works with. */
export interface CollectImagesOptions {
  readonly daemon: Daemon;
  readonly cacheBytes: number;
  /** When images were last used, by name, in milliseconds since 1970; of others the time they were built counts. */
  readonly lastUsed: ReadonlyMap<string, number>;
  /** Whether an image must stay. */
  readonly isHeld: (name: string) => boolean;
  readonly log: Log;
}

interface BuiltImage {
  readonly name: string;
  /** That no other image shares. */
  readonly bytes: number;
  readonly usedAt: number;
}

const use = z.object({
  Images: z
    .array(
      z.object({
        RepoTags: z.array(z.string()).nullish(),
        Labels: z.record(z.string(), z.string()).nullish(),
        Created: z.number(),
        Size: z.number(),
        SharedSize: z.number(),
        Containers: z.number(),
      }),
    )
    .nullish(),
});
const A_SECOND = 1000;
/** Measuring walks all that the daemon has. */
const PATIENCE_MS = 300_000;

/**
 * Removes images of contexts, the longest unused first, until what they take together, base images apart, is within
 * the bound. What a container uses stays. Does nothing while the daemon measures for somebody else.
 */
export async function collectImages(options: CollectImagesOptions): Promise<void> {
  const { daemon, cacheBytes, isHeld, log } = options;
  const images = await builtImages(options).catch((error: unknown) => {
    if (isAnswer(error, 500) && /already running/.test(error.said)) return [];
    throw error;
  });
  let bytes = images.reduce((sum, image) => sum + image.bytes, 0);
  for (const image of images.toSorted((a, b) => a.usedAt - b.usedAt)) {
    if (bytes <= cacheBytes) return;
    if (isHeld(image.name)) continue;
    try {
      await removed(daemon.ask('remove an image', (docker) => docker.getImage(image.name).remove()));
    } catch (error) {
      // A container has come meanwhile.
      if (!isAnswer(error, 409)) throw error;
      continue;
    }
    bytes -= image.bytes;
    log.info({ image: image.name, bytes: image.bytes }, 'An image that was not used for long was removed');
  }
}

async function builtImages({ daemon, lastUsed }: CollectImagesOptions): Promise<BuiltImage[]> {
  const measure = { method: 'GET', path: '/system/df' } as const;
  const answer = await daemon.ask(
    'measure its images',
    (docker, signal) => dialJson(docker, { ...measure, signal }),
    {
      ms: PATIENCE_MS,
    },
  );
  return (use.parse(answer).Images ?? []).flatMap(
    ({ RepoTags, Labels, Created, Size, SharedSize, Containers }) => {
      const name = RepoTags?.find((tag) => tag.startsWith(`${IMAGES}/`));
      if (name === undefined || Labels?.[LABELS.context] === undefined || Containers > 0) return [];
      const usedAt = Math.max(lastUsed.get(name) ?? 0, Created * A_SECOND);
      return [{ name, bytes: Size - Math.max(SharedSize, 0), usedAt }];
    },
  );
}
