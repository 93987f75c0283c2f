import { isPlatformError, PlatformError } from '@morpheo/common';
import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { silentLog } from '../log/index.ts';
import type { OpenDatabase } from './database.ts';

/**
 * Brings a schema up to date, for every driver: runs the steps that have not been run yet, in one transaction.
 * Throws `wrong_state` where the database knows a step that this program does not (it is older than the database).
 */
export async function migrate<Schema>(db: Kysely<Schema>, options: OpenDatabase): Promise<void> {
  const { migrations, owner = 'schema', log = silentLog } = options;
  if (!/^[a-z][a-z_]{0,39}$/.test(owner)) throw new TypeError(`${owner} cannot own a schema: use a-z and _.`);
  const steps = Object.entries(migrations).map(([name, up]) => [name, { up }] as const);
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => Object.fromEntries(steps) },
    migrationTableName: `${owner}_migration`,
    migrationLockTableName: `${owner}_migration_lock`,
  });
  const { error, results = [] } = await migrator.migrateToLatest();
  for (const { migrationName, status } of results) {
    if (status === 'Success' && error === undefined) log.info({ step: migrationName }, 'schema step done');
  }
  if (error === undefined) return;
  if (isPlatformError(error)) throw error;
  const failed = results.find(({ status }) => status === 'Error')?.migrationName;
  throw failed === undefined ? historyError(error) : stepError(failed, error);
}

function stepError(step: string, cause: unknown): PlatformError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PlatformError('internal', `Step "${step}" of the schema failed, and was undone: ${why}`, {
    cause,
  });
}

function historyError(cause: unknown): PlatformError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PlatformError(
    'wrong_state',
    `The database's schema is not one that this program can bring up to date: ${why}. Run a newer version, or name another database.`,
    { cause },
  );
}
