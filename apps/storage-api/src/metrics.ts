import { RESOURCE_TYPES } from '@morpheo/common';
import type { Gauge, Metrics } from '@morpheo/service/metrics';
import { sql } from 'kysely';
import type { StorageDatabase } from './metadata/schema.ts';

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
  if (owners > 0) watchOwners(metrics, { read }, owners);
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
  const refresh = async (): Promise<void> => {
    const own = read.selectFrom('resources').select(['owner', 'type', 'sha256', 'size']).distinct().as('own');
    const kept = await read.selectFrom(own).select(countAndSize).executeTakeFirst();
    const unpublished = read
      .selectFrom('staged')
      .select('size')
      .unionAll(read.selectFrom('checkpoints').select('size'))
      .as('unpublished');
    const waiting = await read.selectFrom(unpublished).select(countAndSize).executeTakeFirst();
    blobs.set({}, Number(kept?.n ?? 0) + Number(waiting?.n ?? 0));
    blobBytes.set({}, coarse(Number(kept?.bytes ?? 0) + Number(waiting?.bytes ?? 0)));
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
    // By owner first: so they stand in the index, and nothing is sorted.
    const { rows } = await sql<{ type: string; n: number | string; bytes: number | string }>`
      select type, sum(n) as n, sum(bytes) as bytes from (
        select type, count(*) as n, sum(size) as bytes from resources group by owner, type
      ) as own group by type`.execute(read);
    for (const type of RESOURCE_TYPES) {
      const row = rows.find((one) => one.type === type);
      resources.set({ type }, Number(row?.n ?? 0));
      resourceBytes.set({ type }, coarse(Number(row?.bytes ?? 0)));
    }
  };
  const stale: Pick<Gauge, 'clear'>[] = [
    ...[blobs, blobBytes, damaged],
    ...[staged, stagedBytes, open, openBytes, resources, resourceBytes],
  ];
  metrics.onScrape({ everyMs: EVERY_MS, refresh, stale });
}

function watchOwners(metrics: Metrics, { read }: Pick<StorageDatabase, 'read'>, most: number): void {
  const bytes = metrics.gauge({
    name: 'morpheo_storage_owner_bytes',
    help: 'Bytes of the owners that have most, each thing by itself; empty: nobody knows whose',
    labels: ['owner'],
  });
  const refresh = async (): Promise<void> => {
    const { rows } = await sql<{ owner: string; bytes: number | string }>`
      select owner, sum(size) as bytes from (
        select owner, size from resources union all select owner, size from staged
        union all select owner, size from checkpoints
      ) as held group by owner order by 2 desc, 1 limit ${most}`.execute(read);
    bytes.clear();
    for (const row of rows) bytes.set({ owner: row.owner }, coarse(Number(row.bytes)));
  };
  metrics.onScrape({ everyMs: EVERY_MS, refresh, stale: [bytes] });
}
