import { retry } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { z } from 'zod';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import { IMAGES, LABELS, LOADED_IMAGES } from '../labels.ts';

/** What {@link collectImages} works with. */
export interface CollectImagesOptions extends EvictImagesOptions {
  readonly cacheBytes: number;
}

/** What {@link evictImages} works with. */
export interface EvictImagesOptions {
  readonly daemon: Daemon;
  /** When images were last used, by name, in milliseconds since 1970; of others the time they were built counts. */
  readonly lastUsed: ReadonlyMap<string, number>;
  /** Whether an image must stay. */
  readonly isHeld: (name: string) => boolean;
  readonly log: Log;
}

interface BuiltImage {
  /** Or its id, where it has no name. */
  readonly name: string;
  /** That no other image shares. */
  readonly bytes: number;
  readonly usedAt: number;
}

const use = z.object({
  /** Of all images, what they share once. */
  LayersSize: z.number().catch(0),
  Images: z
    .array(
      z.object({
        Id: z.string(),
        RepoTags: z.array(z.string()).nullish(),
        Labels: z.record(z.string(), z.string()).nullish(),
        Created: z.number(),
        Size: z.number(),
        SharedSize: z.number().transform((bytes) => Math.max(bytes, 0)),
        Containers: z.number(),
      }),
    )
    .nullish()
    .transform((images) => images ?? []),
});
type DaemonUse = z.infer<typeof use>;
type DaemonImage = DaemonUse['Images'][number];
/** Measuring walks all that the daemon has. */
const MEASURE_MS = 300_000;
/** What a build left on its way may belong to one that goes on, for so long; in milliseconds. */
const UNDER_WAY_MS = 3_600_000;

/**
 * Removes images of contexts, what was made on the way to them, and images of registries, the longest unused first, until what they take
 * together, base images apart, is within the bound. What a container uses stays. Does nothing while the daemon
 * measures for somebody else.
 */
export async function collectImages(options: CollectImagesOptions): Promise<void> {
  const { cacheBytes } = options;
  const measured = await measure(options.daemon).catch((error: unknown) => {
    if (isBusy(error)) return undefined;
    throw error;
  });
  if (measured === undefined) return;
  let bytes = measured.Images.filter(isOwn).reduce((sum, image) => sum + alone(image), 0);
  const shared = sharedBytes(measured);
  let removed = 0;
  for (const image of unused(measured, options)) {
    if (bytes + shared <= cacheBytes) return;
    // Of what images share nobody can tell whose removal gives it back: it is measured anew next time.
    if (bytes <= cacheBytes && removed > 0) return;
    if (!(await remove(image, options))) continue;
    removed += 1;
    bytes -= image.bytes;
  }
}

/**
 * Makes room: removes a share (0 to 1) of what images of contexts take that nobody needs, the longest unused first,
 * and at least one. False where there is none.
 */
export async function evictImages(options: EvictImagesOptions, share: number): Promise<boolean> {
  const images = unused(await measureInTurn(options.daemon), options);
  const most = images.reduce((sum, { bytes }) => sum + bytes, 0) * share;
  let freed = 0;
  let removed = 0;
  for (const image of images) {
    if (removed > 0 && freed >= most) break;
    if (!(await remove(image, options))) continue;
    removed += 1;
    freed += image.bytes;
  }
  return removed > 0;
}

/** What may be removed, the longest unused first. */
function unused({ Images }: DaemonUse, options: EvictImagesOptions): BuiltImage[] {
  const images = Images.flatMap((image) => removable(image, options));
  return images.filter(({ name }) => !options.isHeld(name)).toSorted((a, b) => a.usedAt - b.usedAt);
}

/** Removes an image; false where a container, or an image that starts from it, has come meanwhile. */
async function remove({ name, bytes }: BuiltImage, { daemon, log }: EvictImagesOptions): Promise<boolean> {
  try {
    await daemon.removeImage(name);
  } catch (error) {
    if (!isAnswer(error, 409)) throw error;
    return false;
  }
  log.info({ image: name, bytes }, 'An image that was not used for long was removed');
  return true;
}

async function measure(daemon: Daemon): Promise<DaemonUse> {
  return use.parse(await daemon.get('measure its images', '/system/df', { ms: MEASURE_MS }));
}

async function measureInTurn(daemon: Daemon): Promise<DaemonUse> {
  const pauses = { firstMs: 100, mostMs: 2000, jitter: 0.5, tries: 30 };
  return await retry(async () => await measure(daemon), { ...pauses, retryIf: isBusy });
}

/** The daemon measures for one at a time. */
function isBusy(error: unknown): boolean {
  return isAnswer(error, 500) && /already running/.test(error.said);
}

function isOwn({ Labels, RepoTags }: DaemonImage): boolean {
  return Labels?.[LABELS.context] !== undefined || (RepoTags ?? []).some(isLoaded);
}

function isLoaded(tag: string): boolean {
  return tag.startsWith(`${LOADED_IMAGES}/`);
}

/** What no other image has. */
function alone({ Size, SharedSize }: DaemonImage): number {
  return Size - SharedSize;
}

/** What images of contexts share among themselves, and with no base image; less where base images share with one another. */
function sharedBytes({ LayersSize, Images }: DaemonUse): number {
  const unshared = Images.reduce((sum, image) => sum + alone(image), 0);
  const ofBases = Images.filter((image) => !isOwn(image)).reduce(
    (sum, { SharedSize }) => sum + SharedSize,
    0,
  );
  return Math.max(0, LayersSize - unshared - ofBases);
}

function removable(image: DaemonImage, { lastUsed }: EvictImagesOptions): BuiltImage[] {
  const { Id, RepoTags, Created, Containers } = image;
  if (!isOwn(image) || Containers > 0) return [];
  const tags = (RepoTags ?? []).filter((tag) => tag !== '<none>:<none>');
  const own = tags.find((tag) => tag.startsWith(`${IMAGES}/`) || isLoaded(tag));
  const isUnderWay = own === undefined && Date.now() - Created * 1000 < UNDER_WAY_MS;
  if (isUnderWay || (own === undefined && tags.length > 0)) return [];
  const name = own ?? Id;
  // When an image of a registry was made is what its maker says.
  const made = isLoaded(name) ? 0 : Created * 1000;
  return [{ name, bytes: alone(image), usedAt: Math.max(lastUsed.get(name) ?? 0, made) }];
}
