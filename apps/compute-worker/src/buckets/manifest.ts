import { hash } from 'node:crypto';
import { isPlatformError, OrderFailure, PlatformError, uuid } from '@morpheo/common';
import type { PutOptions } from '@morpheo/service/buckets';
import { z } from 'zod';
import type { OpenPlace } from './connections.ts';

/** The name of the manifest below a prefix. */
export const MANIFEST = 'manifest.json';

/** The most bytes that a manifest may have. */
const MOST_BYTES = 32 * 1024 ** 2;

const KIND = 'morpheo-outputs';
const VERSION = 1;

const manifest = z.object({
  kind: z.literal(KIND),
  version: z.literal(VERSION),
  order: uuid,
  attempt: z.int().positive(),
  /** `failed`: the program ended with another exit code than 0, and these are what it left. */
  outcome: z.enum(['done', 'failed']),
  /** What the files lie below, as seen from the prefix. */
  data: z.string(),
  files: z.array(
    z.object({ name: z.string(), size: z.int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
});

/** What a job left below a prefix, whole: written when all of it is there. */
export type Manifest = z.infer<typeof manifest>;

/** What a manifest is made of. */
export type ManifestContent = Omit<Manifest, 'kind' | 'version' | 'data'>;

/** Where an attempt puts its files, as seen from the prefix. */
export function dataFolder({ order, attempt }: Pick<Manifest, 'order' | 'attempt'>): string {
  return `${order}/attempt-${attempt}/`;
}

/** The prefix of the outputs, and the attempt, that the name of an object belongs to; undefined for one of no attempt. */
export function attemptOf(name: string): { readonly prefix: string; readonly attempt: number } | undefined {
  const found =
    /^(?<prefix>(?:.*\/)?)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\/attempt-(?<attempt>\d+)\//.exec(name);
  if (found?.groups === undefined) return undefined;
  return { prefix: found.groups.prefix ?? '', attempt: Number(found.groups.attempt) };
}

/** A manifest as it is in the bucket. */
export interface StoredManifest extends Manifest {
  readonly etag: string;
}

/**
 * The manifest at a place: null where there is none, so that what lies there is not whole, or was put there by others;
 * `foreign` for an object of its name that is none. Throws `OrderFailure` (`prefix_unusable`) for one of another version.
 */
export async function readManifest(
  place: OpenPlace,
  signal?: AbortSignal,
): Promise<StoredManifest | 'foreign' | null> {
  const { readStart } = await import('@morpheo/service/buckets');
  const start = await readStart(place.calls, place.base + MANIFEST, MOST_BYTES, signal);
  if (start === null) return null;
  const json = parse(start.bytes);
  if (!z.object({ kind: z.literal(KIND) }).safeParse(json).success) return 'foreign';
  const read = manifest.safeParse(json);
  if (read.success && read.data.data === dataFolder(read.data)) return { ...read.data, etag: start.etag };
  const file = place.name(MANIFEST);
  const message = `The manifest ${file} is of another version, or was changed.`;
  throw new OrderFailure('prefix_unusable', { message, file });
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
}

/**
 * Throws where the outputs of an attempt do not belong at a place: `OrderFailure` (`prefix_taken`) where those of
 * another order, or other things, are there, `stale_attempt` where those of a later attempt are.
 */
export function requireOwn(
  place: OpenPlace,
  found: Manifest | 'foreign' | null,
  { order, attempt }: Pick<Manifest, 'order' | 'attempt'>,
): void {
  if (found === null) return;
  const file = place.name(MANIFEST);
  if (found === 'foreign' || found.order !== order) {
    const whose = found === 'foreign' ? 'no order' : `the order ${found.order}`;
    throw new OrderFailure('prefix_taken', { message: `There is a ${file} already, of ${whose}.`, file });
  }
  if (found.attempt > attempt)
    throw new PlatformError('stale_attempt', `The attempt ${found.attempt} has written ${file} already.`);
}

/** So often it is looked again who came first. */
const TRIES = 5;

/**
 * Writes the manifest of an attempt in place of those of earlier attempts, and of nothing else: by a condition, where the
 * server keeps such. Says what it is as bytes, too. Throws as {@link requireOwn} does, and `OrderFailure` (`result_too_large`) for too many files.
 */
export async function writeManifest(
  place: OpenPlace,
  content: ManifestContent,
  signal?: AbortSignal,
): Promise<{ readonly manifest: Manifest; readonly sha256: string; readonly size: number }> {
  const { putObject } = await import('@morpheo/service/buckets');
  const made = { kind: KIND, version: VERSION, ...content, data: dataFolder(content) } as const;
  const bytes = Buffer.from(`${JSON.stringify(made)}\n`);
  if (bytes.byteLength > MOST_BYTES) {
    const message = `The manifest of ${made.files.length} files would have more than ${MOST_BYTES} bytes.`;
    throw new OrderFailure('result_too_large', { message, step: 'results' });
  }
  for (let tried = 1; ; tried += 1) {
    const found = await readManifest(place, signal);
    requireOwn(place, found, made);
    const isFirst = found === null || found === 'foreign';
    const only: PutOptions['only'] = isFirst ? 'new' : { etag: found.etag };
    const condition = place.conditionalPuts ? { only } : {};
    try {
      await putObject(place.calls, place.base + MANIFEST, bytes, { ...condition, signal });
      const sha256 = hash('sha256', bytes);
      return { manifest: made, sha256, size: bytes.byteLength };
    } catch (error) {
      // Another attempt was faster, or this one, whose answer got lost.
      if (!isPlatformError(error, 'precondition_failed') || tried === TRIES) throw error;
    }
  }
}
