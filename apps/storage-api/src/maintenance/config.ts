import { VERSION } from '@morpheo/common';
import { defineSettings, loadSettings, type SettingsOf } from '@morpheo/service/config';
import { databaseContradictions } from '@morpheo/service/database';
import { bucketContradictions } from '../config/blobs.ts';
import { settings as all } from '../config/config.ts';

/** What is done to a storage beside the service. */
export const COMMANDS = ['scrub', 'gc', 'usage'] as const;

/** See {@link COMMANDS}. */
export type MaintenanceCommand = (typeof COMMANDS)[number];

const DESCRIPTIONS: Readonly<Record<MaintenanceCommand, string>> = {
  scrub: 'Reads every blob of storage-api, compares it with its digest, and marks those that are damaged.',
  gc: 'Removes what nothing refers to and nobody is uploading: blobs without a row, results that nobody published.',
  usage: 'Tells what is stored, by owner and kind.',
};

// Who may call has no meaning here, and where to listen neither; a shared environment may name them.
const { origins: _, ...service } = all;

/** The settings of the commands: those of the service, of which some have no use here, and what is to be done. */
export const settings = defineSettings({
  ...service,
  dryRun: {
    flag: 'dry-run',
    env: 'MORPHEO_MAINTENANCE_DRY_RUN',
    schema: all.strictSize.schema,
    default: false,
    switch: true,
    help: 'gc: change nothing; say what would be removed.',
  },
  verify: {
    flag: 'verify',
    env: 'MORPHEO_MAINTENANCE_VERIFY',
    schema: all.strictSize.schema,
    default: false,
    switch: true,
    help: 'usage: compare what the database says with what the store lists.',
  },
});

/** See {@link settings}. */
export type MaintenanceConfig = SettingsOf<typeof settings>;

/** Reads the settings of a command; the result may be the text of `--help` instead. Throws `invalid_request`. */
export function loadMaintenanceConfig(
  command: MaintenanceCommand,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
) {
  return loadSettings({
    name: `storage-api ${command}`,
    description: DESCRIPTIONS[command],
    version: VERSION,
    settings,
    check: (config) => [
      ...bucketContradictions(config.blobstore, config),
      ...databaseContradictions(config, true),
    ],
    argv,
    env,
  });
}
