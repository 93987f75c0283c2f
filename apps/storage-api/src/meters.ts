import { RESOURCE_TYPES } from '@morpheo/common';
import type { Gauge, Metrics } from '@morpheo/service/metrics';
import { sql } from 'kysely';
import type { StorageDatabase } from './schema.ts';

/** What storage-api counts while it runs. */
export interface StorageMeters {
  /** An upload of so many bytes was stored; `known`: its bytes were there already. */
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

const countAndSize = [sql<number>`count(*)`.as('n'), sql<number | null>`sum(size)`.as('bytes')] as const;

/** Makes the {@link StorageMeters}. */
export function createStorageMeters(metrics: Metrics): StorageMeters {
  const counter = (name: string, help: string) =>
    metrics.counter({ name: `morpheo_storage_${name}_total`, help });
  const uploads = counter('uploads', 'Uploads that were stored, results of workers included');
  const bytes = counter('uploaded_bytes', 'Bytes of uploads that were stored');
  const hits = counter('dedupe_hits', 'Uploads whose bytes were there already, and were not kept twice');
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
  return {
    stored(size, known) {
      uploads.add({});
      bytes.add({}, size);
      if (!known) return;
      hits.add({});
      saved.add({}, size);
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
  const blobs = gauge('blobs', 'Blobs that are kept, each once');
  const blobBytes = gauge('blob_bytes', 'Bytes of the blobs');
  const damaged = gauge('damaged_blobs', 'Blobs that are marked as damaged, and served to nobody');
  const staged = gauge('staged_results', 'Results of attempts that are not published yet');
  const stagedBytes = gauge('staged_bytes', 'Bytes of those results');
  const resources = gauge('resources', 'Things that are kept, by type', 'type');
  const resourceBytes = gauge(
    'resource_bytes',
    'Bytes of things by type, as if each were kept by itself',
    'type',
  );
  const refresh = async (): Promise<void> => {
    const kept = await read.selectFrom('blobs').select(countAndSize).executeTakeFirst();
    blobs.set({}, Number(kept?.n ?? 0));
    blobBytes.set({}, Number(kept?.bytes ?? 0));
    const marked = await read
      .selectFrom('blobs')
      .select(countAndSize)
      .where('damaged_at', 'is not', null)
      .executeTakeFirst();
    damaged.set({}, Number(marked?.n ?? 0));
    const waiting = await read.selectFrom('staged').select(countAndSize).executeTakeFirst();
    staged.set({}, Number(waiting?.n ?? 0));
    stagedBytes.set({}, Number(waiting?.bytes ?? 0));
    const rows = await read
      .selectFrom('resources')
      .select('type')
      .select(countAndSize)
      .groupBy('type')
      .execute();
    for (const type of RESOURCE_TYPES) {
      const row = rows.find((one) => one.type === type);
      resources.set({ type }, Number(row?.n ?? 0));
      resourceBytes.set({ type }, Number(row?.bytes ?? 0));
    }
  };
  const stale: Pick<Gauge, 'clear'>[] = [
    ...[blobs, blobBytes, damaged],
    ...[staged, stagedBytes, resources, resourceBytes],
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
      ) as held group by owner order by 2 desc, 1 limit ${most}`.execute(read);
    bytes.clear();
    for (const row of rows) bytes.set({ owner: row.owner }, Number(row.bytes));
  };
  metrics.onScrape({ everyMs: EVERY_MS, refresh, stale: [bytes] });
}
