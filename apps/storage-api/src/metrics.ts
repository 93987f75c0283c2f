import { RESOURCE_TYPES } from '@morpheo/common';
import type { Gauge, Metrics } from '@morpheo/service/metrics';
import { sql } from 'kysely';
import type { StorageDatabase, StorageTransaction } from './metadata/schema.ts';
import { inSlices } from './metadata/slices.ts';

/** What storage-api counts while it runs. */
export interface StorageMeters {
  /** An upload of so many bytes was stored; `known`: its owner had the same already. */
  stored(bytes: number, known: boolean): void;
  /** A sweep has removed so many half-written files, and blobs that nothing refers to. */
  swept(halfWritten: number, orphans: number): void;
  /** A blob was found to be damaged that was not known to be. */
  damaged(): void;
  /** So many bytes were read and compared with their digests by a scrub. */
  scrubbed(bytes: number): void;
}

/** Tables are counted row by row: this often at most, in milliseconds. */
const EVERY_MS = 15_000;

/** Figures that anybody may read tell bytes in steps of so many: of no upload its exact size. */
const STEP_BYTES = 2 ** 20;

function coarse(bytes: number): number {
  return Math.ceil(bytes / STEP_BYTES) * STEP_BYTES;
}

/** Counts bytes, and hands them on in whole steps. */
function coarsely(add: (bytes: number) => void): (bytes: number) => void {
  let rest = 0;
  return (bytes) => {
    rest += bytes;
    const whole = Math.floor(rest / STEP_BYTES) * STEP_BYTES;
    if (whole > 0) add(whole);
    rest -= whole;
  };
}

const countAndSize = [sql<number>`count(*)`.as('n'), sql<number | null>`sum(size)`.as('bytes')] as const;

/** Makes the {@link StorageMeters}. */
export function createStorageMeters(metrics: Metrics): StorageMeters {
  const counter = (name: string, help: string) =>
    metrics.counter({ name: `morpheo_storage_${name}_total`, help });
  const uploads = counter('uploads', 'Uploads that were stored, results of workers included');
  const bytes = counter('uploaded_bytes', 'Bytes of uploads that were stored');
  const hits = counter(
    'dedupe_hits',
    'Uploads whose bytes their owner had already as a thing of the same type',
  );
  const saved = counter('dedupe_saved_bytes', 'Bytes that were not kept twice');
  const swept = metrics.counter({
    name: 'morpheo_storage_swept_files_total',
    help: 'Files that nobody needs and the sweep has removed: half-written ones, and blobs without a row',
    labels: ['what'],
  });
  const damaged = counter(
    'damaged_blobs_found',
    'Blobs that were found to be damaged, by a reader or a scrub',
  );
  const scrubbed = counter('scrubbed_bytes', 'Bytes that a scrub has read and compared with their digests');
  for (const zero of [uploads, bytes, hits, saved, damaged, scrubbed]) zero.add({}, 0);
  for (const what of ['half_written', 'orphan']) swept.add({ what }, 0);
  const addBytes = coarsely((size) => bytes.add({}, size));
  const addSaved = coarsely((size) => saved.add({}, size));
  return {
    stored(size, known) {
      uploads.add({});
      addBytes(size);
      if (!known) return;
      hits.add({});
      addSaved(size);
    },
    swept(halfWritten, orphans) {
      swept.add({ what: 'half_written' }, halfWritten);
      swept.add({ what: 'orphan' }, orphans);
    },
    damaged: () => damaged.add({}),
    scrubbed: (size) => scrubbed.add({}, size),
  };
}

/**
 * Shows at a scrape what the database knows of what is stored; `owners`: of how many owners by name, those that have
 * most, so that there are never more series than that.
 */
export function watchStorage(metrics: Metrics, { read }: StorageDatabase, owners = 0): void {
  const gauge = <Label extends string = never>(
    name: string,
    help: string,
    ...labels: Label[]
  ): Gauge<Label> => metrics.gauge({ name: `morpheo_storage_${name}`, help, labels });
  // Of each owner and type by itself: that somebody else has the same bytes is told to nobody.
  const blobs = gauge('blobs', 'Blobs that are kept, each once for each owner and type');
  const blobBytes = gauge('blob_bytes', 'Bytes of those blobs');
  const damaged = gauge('damaged_blobs', 'Blobs that are marked as damaged, and served to nobody');
  const staged = gauge(
    'staged_results',
    'Results of attempts that are not published yet, and checkpoints of orders',
  );
  const stagedBytes = gauge('staged_bytes', 'Bytes of those results and checkpoints');
  const open = gauge('open_uploads', 'Resumable uploads that have not come to their end');
  const openBytes = gauge('open_upload_bytes', 'Bytes that those uploads have announced');
  const resources = gauge('resources', 'Things that are kept, by type', 'type');
  const resourceBytes = gauge(
    'resource_bytes',
    'Bytes of things by type, as if each were kept by itself',
    'type',
  );
  const ownerBytes = owners > 0 ? ownersGauge(metrics) : undefined;
  const refresh = async (): Promise<void> => {
    const held = await heldBy(read);
    const unpublished = read
      .selectFrom('staged')
      .select('size')
      .unionAll(read.selectFrom('checkpoints').select('size'))
      .as('unpublished');
    const waiting = await read.selectFrom(unpublished).select(countAndSize).executeTakeFirst();
    blobs.set({}, sumOf(held, 'blobs') + Number(waiting?.n ?? 0));
    blobBytes.set({}, coarse(sumOf(held, 'blobBytes') + Number(waiting?.bytes ?? 0)));
    const marked = await read
      .selectFrom('blobs')
      .select(countAndSize)
      .where('damaged_at', 'is not', null)
      .executeTakeFirst();
    damaged.set({}, Number(marked?.n ?? 0));
    staged.set({}, Number(waiting?.n ?? 0));
    stagedBytes.set({}, coarse(Number(waiting?.bytes ?? 0)));
    const coming = await read
      .selectFrom('uploads')
      .select(countAndSize)
      .where('finished_at', 'is', null)
      .executeTakeFirst();
    open.set({}, Number(coming?.n ?? 0));
    openBytes.set({}, coarse(Number(coming?.bytes ?? 0)));
    for (const type of RESOURCE_TYPES) {
      const of = held.filter((one) => one.type === type);
      resources.set({ type }, sumOf(of, 'things'));
      resourceBytes.set({ type }, coarse(sumOf(of, 'bytes')));
    }
    if (ownerBytes === undefined) return;
    const most = await mostOf(read, held, owners);
    ownerBytes.clear();
    for (const [owner, bytes] of most) ownerBytes.set({ owner }, coarse(bytes));
  };
  const stale: Pick<Gauge, 'clear'>[] = [
    ...[blobs, blobBytes, damaged],
    ...[staged, stagedBytes, open, openBytes, resources, resourceBytes],
    ...(ownerBytes === undefined ? [] : [ownerBytes]),
  ];
  metrics.onScrape({ everyMs: EVERY_MS, refresh, stale });
}

function ownersGauge(metrics: Metrics): Gauge<'owner'> {
  return metrics.gauge({
    name: 'morpheo_storage_owner_bytes',
    help: 'Bytes of the owners that have most, each thing by itself; empty: nobody knows whose',
    labels: ['owner'],
  });
}

/** What an owner has of a type: its things, and its blobs, each once. */
interface Held {
  readonly owner: string;
  readonly type: string;
  readonly things: number;
  readonly bytes: number;
  readonly blobs: number;
  readonly blobBytes: number;
}

async function heldBy(read: StorageTransaction): Promise<readonly Held[]> {
  const rows = await inSlices(read, sql`1 = 1`, async ({ within }) => {
    const { rows: some } = await sql<Record<keyof Held, string | number>>`
      select owner, type, sum(n) as things, sum(n * size) as bytes, count(*) as blobs, sum(size) as "blobBytes"
      from (select owner, type, size, count(*) as n from resources where ${within} group by sha256, size, owner, type) as own
      group by owner, type`.execute(read);
    return some;
  });
  return rows.map(({ owner, type, things, bytes, blobs, blobBytes }) => ({
    ...{ owner: String(owner), type: String(type), things: Number(things), bytes: Number(bytes) },
    ...{ blobs: Number(blobs), blobBytes: Number(blobBytes) },
  }));
}

function sumOf(held: readonly Held[], what: 'things' | 'bytes' | 'blobs' | 'blobBytes'): number {
  return held.reduce((sum, one) => sum + one[what], 0);
}

/** The owners that have most, with what waits to be published. */
async function mostOf(
  read: StorageTransaction,
  held: readonly Held[],
  most: number,
): Promise<readonly [string, number][]> {
  const { rows } = await sql<{ owner: string; bytes: number | string }>`
    select owner, sum(size) as bytes from (
      select owner, size from staged union all select owner, size from checkpoints
    ) as waiting group by owner`.execute(read);
  const bytes = new Map<string, number>();
  for (const one of [...held, ...rows]) bytes.set(one.owner, (bytes.get(one.owner) ?? 0) + Number(one.bytes));
  return [...bytes].sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1)).slice(0, most);
}
