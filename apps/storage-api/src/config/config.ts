import { VERSION } from '@morpheo/common';
import {
  defineSettings,
  listenSettings,
  loadSettings,
  logSettings,
  pairProblems,
  type SettingsOf,
  unusedSetting,
} from '@morpheo/service/config';
import { databaseContradictions, databaseSettings } from '@morpheo/service/database';
import {
  accessSettings,
  type CredentialEntry,
  hashSecret,
  isLoopback,
  rateSettings,
  ticketKeySettings,
} from '@morpheo/service/http';
import { traceSettings } from '@morpheo/service/trace';
import { z } from 'zod';
import { BLOB_STORES, bucketContradictions, s3Settings } from './blobs.ts';
import { permissionSettings } from './permissions.ts';
import { ledgerSettings } from './quotas.ts';
import { DEFAULT_SETTINGS } from './settings.ts';

const text = z.string().min(1);
const count = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const list = z.string().transform((names) => names.split(',').map((name) => name.trim()));

/** Flags of the original that have no use here: a command line that was written for it still starts. */
export const unusedSettings = defineSettings({
  dbMigrationsDir: unusedSetting(
    'MORPHEO_STORAGE_',
    'db-migrations-dir',
    'the steps of the schema are built in',
  ),
});

/** Every setting of storage-api; flags of the original keep their names. */
export const settings = defineSettings({
  ...listenSettings('MORPHEO_STORAGE_', 8000),
  user: {
    flag: 'user',
    env: 'MORPHEO_STORAGE_USER',
    schema: text.optional(),
    help: 'The name of a caller who may do everything.',
  },
  password: {
    flag: 'password',
    env: 'MORPHEO_STORAGE_PASSWORD',
    schema: text.optional(),
    secret: true,
    help: 'The password of --user.',
  },
  ...accessSettings('MORPHEO_STORAGE_', ' On loopback alone.'),
  ...ticketKeySettings('MORPHEO_STORAGE_'),
  ...rateSettings('MORPHEO_STORAGE_'),
  origins: {
    flag: 'origins',
    env: 'MORPHEO_STORAGE_ORIGINS',
    schema: list,
    default: [],
    help: 'The origins, by comma, whose pages may use credentials that the browser keeps; * for any, as the original.',
  },
  blobstore: {
    flag: 'blobstore',
    env: 'MORPHEO_STORAGE_BLOBSTORE',
    schema: z.enum(BLOB_STORES),
    default: 'local',
    help: 'Where bytes are kept. local: in the data folder; s3: in a bucket; gc or gcs: in a bucket of Google Cloud.',
  },
  ...s3Settings,
  dataDir: {
    flag: 'data-dir',
    env: 'MORPHEO_STORAGE_DATA_DIR',
    schema: text,
    default: '/data',
    help: 'The folder of the bytes and of the embedded database; one process at a time.',
  },
  ...databaseSettings('MORPHEO_STORAGE_'),
  maxUploadBytes: {
    flag: 'max-upload-bytes',
    env: 'MORPHEO_STORAGE_MAX_UPLOAD_BYTES',
    schema: count,
    default: DEFAULT_SETTINGS.maxUploadBytes,
    help: 'The most bytes that a blob may have.',
  },
  maxCheckpointBytes: {
    flag: 'max-checkpoint-bytes',
    env: 'MORPHEO_STORAGE_MAX_CHECKPOINT_BYTES',
    schema: count,
    default: DEFAULT_SETTINGS.maxCheckpointBytes,
    help: 'The most bytes that a checkpoint of a job may have, of which the latest is kept until the job ends.',
  },
  strictSize: {
    flag: 'strict-size',
    env: 'MORPHEO_STORAGE_STRICT_SIZE',
    schema: z.stringbool(),
    default: DEFAULT_SETTINGS.strictSize,
    switch: true,
    help: 'Refuse a form whose size is not that of its blob; the original never compared them.',
  },
  orphanGraceMs: {
    flag: 'orphan-grace-ms',
    env: 'MORPHEO_STORAGE_ORPHAN_GRACE_MS',
    schema: count,
    default: DEFAULT_SETTINGS.orphanGraceMs,
    help: 'How long bytes that nothing refers to are left alone.',
  },
  stagedMaxAgeMs: {
    flag: 'staged-max-age-ms',
    env: 'MORPHEO_STORAGE_STAGED_MAX_AGE_MS',
    schema: count,
    default: DEFAULT_SETTINGS.stagedMaxAgeMs,
    help: 'How long the result of an attempt waits to be published or discarded.',
  },
  uploadExpiryMs: {
    flag: 'upload-expiry-ms',
    env: 'MORPHEO_STORAGE_UPLOAD_EXPIRY_MS',
    schema: count,
    default: DEFAULT_SETTINGS.uploadExpiryMs,
    help: 'How long a resumable upload waits for its next bytes before it is thrown away.',
  },
  ...permissionSettings,
  ...ledgerSettings,
  ...traceSettings,
  ...unusedSettings,
  dbRollback: {
    flag: 'db-rollback',
    env: 'MORPHEO_STORAGE_DB_ROLLBACK',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Known for the original’s sake, and refused: the schema only goes forward; restore a backup to go back.',
  },
  ...logSettings('MORPHEO_STORAGE_'),
});

/** The settings of a storage-api process. */
export type StorageConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'storage-api',
    description: 'Keeps problems, algos, models, data and predictions: what they are, and their bytes.',
    version: VERSION,
    settings,
    canCheck: true,
    envPrefix: 'MORPHEO_STORAGE_',
    check: contradictions,
    argv,
    env,
  });
}

function contradictions(config: StorageConfig): string[] {
  const { user, password, credentials, insecureOpen, dbRollback, openUploadBytes = 0 } = config;
  // Whom a proxy on this machine lets call is beyond loopback, too.
  const host = [config.host, ...(config.hosts ?? [])].find((one) => !isLoopback(one)) ?? config.host;
  const known = user !== undefined || credentials !== undefined;
  const problems: [boolean, string][] = [
    [
      !known && !insecureOpen,
      'Nobody could call: give --user and --password, or --credentials, or say --insecure-open on 127.0.0.1.',
    ],
    [known && insecureOpen, '--insecure-open and credentials contradict one another: give one of them.'],
    [
      openUploadBytes > 0 && openUploadBytes < config.maxUploadBytes,
      `--open-upload-bytes is ${openUploadBytes}, less than --max-upload-bytes (${config.maxUploadBytes}): no upload of that size could begin. Raise the one, or lower the other.`,
    ],
    [insecureOpen && !isLoopback(host), `--insecure-open serves loopback alone, not ${host}.`],
    [
      user === 'u' && password?.reveal() === 'p' && !isLoopback(host),
      `Everybody knows the original's user u and password p: choose others to listen on ${host}.`,
    ],
  ];
  return [
    ...pairProblems(settings, config, [
      ['cert', 'key'],
      ['user', 'password'],
    ]),
    ...problems.flatMap(([wrong, problem]) => (wrong ? problem : [])),
    ...bucketContradictions(config.blobstore, config),
    ...databaseContradictions(config, true),
    ...(dbRollback
      ? [
          '--db-rollback is refused: the schema only goes forward. Restore a backup to go back, and leave it out.',
        ]
      : []),
  ];
}

/** The caller that `--user` and `--password` name; none where they are not given. */
export async function ownCaller({
  user,
  password,
}: Pick<StorageConfig, 'user' | 'password'>): Promise<CredentialEntry[]> {
  if (user === undefined || password === undefined) return [];
  return [{ name: user, roles: ['admin'], secretHash: await hashSecret(password.reveal()) }];
}
