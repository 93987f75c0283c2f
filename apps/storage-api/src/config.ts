import { defineSettings, loadSettings, type SettingsOf } from '@morpheo/service/config';
import { databaseContradictions, databaseSettings } from '@morpheo/service/database';
import { isLoopback, rateSettings } from '@morpheo/service/http';
import { traceSettings } from '@morpheo/service/trace';
import { z } from 'zod';
import { BLOB_STORES, bucketContradictions, s3Settings } from './blob-settings.ts';
import { ledgerSettings } from './ledger-settings.ts';
import { DEFAULT_SETTINGS } from './storage-settings.ts';
import { unusedContradictions, unusedSettings } from './unused-settings.ts';

const text = z.string().min(1);
const count = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const list = z.string().transform((names) => names.split(',').map((name) => name.trim()));

/** Every setting of storage-api; flags of the original keep their names. */
export const settings = defineSettings({
  host: {
    flag: 'host',
    env: 'MORPHEO_STORAGE_HOST',
    schema: text,
    default: '127.0.0.1',
    help: 'The address to listen at.',
  },
  port: {
    flag: 'port',
    env: 'MORPHEO_STORAGE_PORT',
    schema: z.coerce.number().int().min(0).max(65_535),
    default: 8000,
    help: 'The port to listen at; 0 for any.',
  },
  cert: {
    flag: 'cert',
    env: 'MORPHEO_STORAGE_CERT',
    schema: text.optional(),
    help: 'PEM file of the TLS certificate.',
  },
  key: { flag: 'key', env: 'MORPHEO_STORAGE_KEY', schema: text.optional(), help: 'PEM file of the TLS key.' },
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
  credentials: {
    flag: 'credentials',
    env: 'MORPHEO_STORAGE_CREDENTIALS',
    schema: text.optional(),
    help: 'JSON file of who may call: a list of {name, roles, secretHash}.',
  },
  insecureOpen: {
    flag: 'insecure-open',
    env: 'MORPHEO_STORAGE_INSECURE_OPEN',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Serve without any credentials: whoever reaches the port may do everything. On loopback alone.',
  },
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
  ...ledgerSettings,
  ...traceSettings,
  ...unusedSettings,
  logLevel: {
    flag: 'log-level',
    env: 'MORPHEO_STORAGE_LOG_LEVEL',
    schema: z.enum(['debug', 'info', 'warn', 'error']),
    default: 'info',
    help: 'The least serious lines that are logged.',
  },
});

/** The settings of a storage-api process. */
export type StorageConfig = SettingsOf<typeof settings>;

/** The version that the service tells. */
export const VERSION = '0.1.0';

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
  const { cert, key, user, password, credentials, insecureOpen, host } = config;
  const known = user !== undefined || credentials !== undefined;
  const problems: [boolean, string][] = [
    [
      (cert === undefined) !== (key === undefined),
      '--cert and --key belong together: give both, or neither.',
    ],
    [
      (user === undefined) !== (password === undefined),
      '--user and --password belong together: give both, or neither.',
    ],
    [
      !known && !insecureOpen,
      'Nobody could call: give --user and --password, or --credentials, or say --insecure-open on 127.0.0.1.',
    ],
    [known && insecureOpen, '--insecure-open and credentials contradict one another: give one of them.'],
    [insecureOpen && !isLoopback(host), `--insecure-open serves loopback alone, not ${host}.`],
    [
      user === 'u' && password?.reveal() === 'p' && !isLoopback(host),
      `Everybody knows the original's user u and password p: choose others to listen on ${host}.`,
    ],
  ];
  return [
    ...problems.flatMap(([wrong, problem]) => (wrong ? problem : [])),
    ...bucketContradictions(config.blobstore, config),
    ...databaseContradictions(config, true),
    ...unusedContradictions(config),
  ];
}
