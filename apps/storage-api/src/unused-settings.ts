import { defineSettings, type SettingsOf } from '@morpheo/service/config';
import { z } from 'zod';

/** Flags of the original that ours has no use for: a command line that was written for it still starts. */
export const unusedSettings = defineSettings({
  dbMigrationsDir: {
    flag: 'db-migrations-dir',
    env: 'MORPHEO_STORAGE_DB_MIGRATIONS_DIR',
    schema: z.string().min(1).optional(),
    help: 'Understood for the original’s sake and not used: the steps of the schema are built in.',
  },
  dbRollback: {
    flag: 'db-rollback',
    env: 'MORPHEO_STORAGE_DB_ROLLBACK',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Known for the original’s sake, and refused: the schema only goes forward; restore a backup to go back.',
  },
});

/** What is asked for and cannot be done: one sentence each. */
export function unusedContradictions({ dbRollback }: SettingsOf<typeof unusedSettings>): string[] {
  return dbRollback
    ? [
        '--db-rollback is refused: the schema only goes forward. Restore a backup to go back, and leave it out.',
      ]
    : [];
}

/** The flags among {@link unusedSettings} that were given and do nothing. */
export function unusedFlags({ dbMigrationsDir }: SettingsOf<typeof unusedSettings>): string[] {
  return dbMigrationsDir === undefined ? [] : ['--db-migrations-dir'];
}
