import { join } from 'node:path';
import { settingsOrPrint } from '@morpheo/service/config';
import { openDatabase, readDatabasePlace } from '@morpheo/service/database';
import { createLog } from '@morpheo/service/log';
import { type BlobStore, openBlobStore } from '../blobs/index.ts';
import { blobLocationOf } from '../config/blobs.ts';
import { readQuotas } from '../config/quotas.ts';
import type { ScrubCounts } from '../integrity/scrub.ts';
import { type StorageDatabase, type StorageSchema, storageMigrations } from '../metadata/schema.ts';
import { DATABASE_FILE, DATABASE_OWNER, UPLOADS_FOLDER } from '../service.ts';
import { createStorage, type Storage } from '../storage.ts';
import type { CommandRun } from './command.ts';
import { loadMaintenanceConfig, type MaintenanceCommand, type MaintenanceConfig } from './config.ts';
import { totalOf } from './gc.ts';
import { reconcile } from './verify.ts';

interface Work extends CommandRun {
  readonly storage: Storage;
  readonly database: StorageDatabase;
  readonly blobs: BlobStore;
  readonly config: MaintenanceConfig;
}

/** A scrub reports this often how far it is, in milliseconds. */
const REPORT_EVERY_MS = 5_000;

/**
 * Runs a command on the database and the store that the settings name. On PostgreSQL and a bucket the service may run
 * meanwhile; the embedded database is open for one process alone. Resolves with the exit code: 0 where all is well, 1
 * where blobs are damaged, missing, or another process scrubs. Rejects where the settings are wrong or a part cannot
 * be opened.
 */
export async function runMaintenance(command: MaintenanceCommand, run: CommandRun): Promise<number> {
  const config = settingsOrPrint(loadMaintenanceConfig(command, run.argv, run.env), run.output);
  if (config === undefined) return 0;
  const log = createLog({ service: 'storage-api', level: 'error' });
  const target = await readDatabasePlace(config, join(config.dataDir, DATABASE_FILE));
  await using database = await openDatabase<StorageSchema>(target, {
    owner: DATABASE_OWNER,
    migrations: storageMigrations,
    log,
  });
  const shared = database.engine === 'postgres';
  using blobs = await openBlobStore(await blobLocationOf(config.blobstore, config, config.dataDir), {
    shared,
  });
  const settings = { ...config, quotas: await readQuotas(config) };
  const uploadsFolder = join(config.dataDir, UPLOADS_FOLDER);
  const storage = createStorage({ database, blobs, log, settings, uploadsFolder });
  return await WORKS[command]({ ...run, storage, database, blobs, config });
}

const WORKS: Readonly<Record<MaintenanceCommand, (work: Work) => Promise<number>>> = { scrub, gc, usage };

async function scrub({ storage, output, signal }: Work): Promise<number> {
  let reportedAt = performance.now();
  const progress = (counts: ScrubCounts): void => {
    if (performance.now() - reportedAt < REPORT_EVERY_MS) return;
    reportedAt = performance.now();
    output.write(`${scrubText(counts)} so far\n`);
  };
  const counts = await storage.scrub({ progress, signal });
  if (counts.outcome === 'ended') output.write(`${scrubText(counts)}\n`);
  else
    output.write('Another process is scrubbing, or has died within the last five minutes: try again then.\n');
  return counts.outcome === 'ended' && counts.damaged === 0 ? 0 : 1;
}

function scrubText({ blobs, bytes, damaged, healed }: ScrubCounts): string {
  return `${amount({ blobs, bytes })} read, ${damaged} damaged, ${healed} good again`;
}

async function gc({ storage, output, config: { dryRun }, signal }: Work): Promise<number> {
  const collected = await storage.collect({ dryRun, signal });
  const { orphans, expired, halfWritten } = collected;
  const { files: blobs, bytes } = totalOf(collected);
  output.write(
    `${amount({ blobs, bytes })} ${dryRun ? 'would be' : 'were'} removed: ` +
      `${amount(orphans)} that nothing refers to, ${amount(expired)} of results that nobody published, ` +
      `${amount({ blobs: halfWritten.files, bytes: halfWritten.bytes })} half-written\n`,
  );
  return 0;
}

async function usage({ storage, database, blobs, output, config: { verify } }: Work): Promise<number> {
  const used = await storage.api.usage({});
  for (const { owner, bytes, kinds } of used.owners) {
    const of = kinds.map(({ kind, count, bytes: held }) => `${count} ${kind} ${held}`).join(', ');
    output.write(`${owner === '' ? '(unknown)' : owner}: ${bytes} bytes (${of})\n`);
  }
  output.write(
    `${used.bytes} bytes in things, ${used.stored_bytes} bytes in ${used.blobs} blobs, ${used.saved_bytes} bytes saved\n`,
  );
  if (!verify) return 0;
  const { recorded, listed, unrecorded, missing } = await reconcile(database, blobs);
  output.write(
    `recorded: ${amount(recorded)}, listed: ${amount(listed)}, without a row: ${amount(unrecorded)}, ` +
      `missing or of another size: ${missing.length}\n`,
  );
  for (const digest of missing) output.write(`${digest} is missing or of another size\n`);
  return missing.length === 0 && recorded.bytes === used.stored_bytes ? 0 : 1;
}

function amount({ blobs, bytes }: { readonly blobs: number; readonly bytes: number }): string {
  return `${blobs} blobs (${bytes} bytes)`;
}
