import { join } from 'node:path';
import { DICEBOX_DIALECTS, type DiceboxDialect, pictureSetKey, VERSION } from '@morpheo/common';
import {
  defineSettings,
  listenSettings,
  loadSettings,
  logSettings,
  pairProblems,
  peerSettings,
  type SettingsOf,
} from '@morpheo/service/config';
import { databaseContradictions, databaseSettings } from '@morpheo/service/database';
import { accessSettings } from '@morpheo/service/http';
import { traceSettings } from '@morpheo/service/trace';
import { yamlSettings } from '@morpheo/service/yaml';
import { z } from 'zod';
import { classificationSettings } from './classification/settings.ts';
import { DATABASE } from './db/tables.ts';
import { trainingSettings } from './training/settings.ts';

const PREFIX = 'MORPHEO_DICEBOX_';
const text = z.string().min(1);

/** Where images look for their settings, that of the training processor too. */
const SETTINGS_FILE = '/dicebox/dicebox.yaml';

/** The sets of routes that a process may serve. */
export const ROUTE_SETS = ['sensory', 'training', 'classification'] as const;

/** A set of {@link ROUTE_SETS}. */
export type RouteSetName = (typeof ROUTE_SETS)[number];

const dialect = z.enum(DICEBOX_DIALECTS);

/** Which dialect is spoken with those that ask for a version, by version. */
const versions = z.string().transform((all, context) => {
  const found = new Map<string, DiceboxDialect>();
  for (const part of all.split(',')) {
    const [version = '', name] = part.split('=').map((word) => word.trim());
    const spoken = dialect.safeParse(name);
    if (version === '' || !spoken.success) {
      context.addIssue(`${JSON.stringify(part)} should be such as 0.3.0=2019, with 2017 or 2019`);
      return z.NEVER;
    }
    found.set(version, spoken.data);
  }
  return found as ReadonlyMap<string, DiceboxDialect>;
});

const sets = z
  .string()
  .transform((all) => [...new Set(all.split(',').map((one) => one.trim()))])
  .pipe(z.array(z.enum(ROUTE_SETS)));

/** A set of pictures as the folders of the original are called. */
const setName = z.string().transform((text, context) => {
  const [, name, width, height] = /^(.+)_(\d+)x(\d+)$/.exec(text) ?? [];
  const read = pictureSetKey.safeParse({ name, width: Number(width), height: Number(height) });
  if (read.success) return read.data;
  context.addIssue('should be a name, width and height, such as dicebox_100x100');
  return z.NEVER;
});

/** Every setting of dicebox. */
export const settings = defineSettings({
  ...listenSettings(PREFIX, 8002),
  config: {
    flag: 'config',
    env: `${PREFIX}CONFIG`,
    schema: text.optional(),
    help: `YAML file of settings by the names of their flags, with _ for -; a flag, a variable and a secret win over it. ${SETTINGS_FILE} where it is there.`,
  },
  serve: {
    flag: 'serve',
    env: `${PREFIX}SERVE`,
    schema: sets,
    default: [...ROUTE_SETS],
    list: true,
    help: 'What is served: sensory (pictures), training (which needs sensory), classification.',
  },
  dataDir: {
    flag: 'data-dir',
    env: `${PREFIX}DATA_DIR`,
    schema: text.optional(),
    help: 'The folder of the embedded database, and of what is held of pictures for a while; with PostgreSQL that is in a temporary folder where absent.',
  },
  ...databaseSettings(PREFIX),
  pictureSet: {
    flag: 'picture-set',
    env: `${PREFIX}PICTURE_SET`,
    schema: setName.optional(),
    help: 'The set of pictures of those that name none, such as dicebox_100x100. Absent: the only one that a caller has.',
  },
  apiKey: {
    flag: 'api-key',
    env: `${PREFIX}API_KEY`,
    schema: z.string().min(16, 'should have 16 characters or more').optional(),
    secret: true,
    help: 'What API-ACCESS-KEY has to be, beside the credentials of --credentials, as name.secret.',
  },
  apiUser: {
    flag: 'api-user',
    env: `${PREFIX}API_USER`,
    schema: text,
    default: 'dicebox',
    help: 'Who calls with --api-key: the owner of what they store and order.',
  },
  apiVersion: {
    flag: 'api-version',
    env: `${PREFIX}API_VERSION`,
    schema: text,
    default: '0.3.0',
    help: 'The version that is told, and whose dialect is spoken with those that ask for none.',
  },
  versions: {
    flag: 'versions',
    env: `${PREFIX}VERSIONS`,
    schema: versions,
    default: new Map([
      ['0.2.2', '2017'],
      ['0.3.0', '2019'],
      ['0.4.0', '2019'],
      ['0.5.0', '2019'],
    ]) as ReadonlyMap<string, DiceboxDialect>,
    list: true,
    help: 'The versions that API-VERSION may be, each with its dialect, such as 0.2.2=2017,0.3.0=2019.',
  },
  origins: {
    flag: 'origins',
    env: `${PREFIX}ORIGINS`,
    schema: z
      .string()
      .transform((all) => all.split(',').map((one) => one.trim()))
      .optional(),
    list: true,
    help: 'The origins whose pages may use credentials that a browser keeps. Pages of any origin may call with a key that they hold.',
  },
  ...classificationSettings,
  ...trainingSettings,
  ...accessSettings(PREFIX),
  ...peerSettings(PREFIX, {
    name: 'compute',
    service: 'compute-api',
    help: 'The address of compute-api, such as http://127.0.0.1:8081.',
    url: 'required',
    credentials: 'optional',
  }),
  ...peerSettings(PREFIX, {
    name: 'storage',
    service: 'storage-api',
    help: 'The address of storage-api, such as http://127.0.0.1:8082.',
    url: 'required',
    credentials: 'optional',
  }),
  ...traceSettings,
  ...logSettings(PREFIX),
});

/** The settings of a dicebox process. */
export type DiceboxConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  /** The file that is read where none is named, and it is there. */
  { usual }: { readonly usual: string | undefined } = { usual: SETTINGS_FILE },
) {
  return loadSettings({
    name: 'dicebox',
    description: 'Pictures in, networks trained and served: the REST services of dicebox.',
    version: VERSION,
    settings,
    file: yamlSettings(settings, { setting: 'config', usual, others: ['training_processor'] }),
    secretsFolder: '/run/secrets',
    canCheck: true,
    envPrefix: PREFIX,
    check: contradictions,
    argv,
    env,
  });
}

/** The file of the embedded database: services of several processes may have one data folder. */
export function databaseFileOf({ serve, dataDir = '' }: Pick<DiceboxConfig, 'serve' | 'dataDir'>): string {
  return join(dataDir, serve.includes('sensory') ? DATABASE.file : `${serve.join('-')}.db`);
}

function contradictions(config: DiceboxConfig): string[] {
  const { serve, versions: known, apiVersion, apiKey, credentials, insecureOpen } = config;
  const problems = pairProblems(settings, config, [
    ['cert', 'key'],
    ['computeUser', 'computePassword'],
    ['storageUser', 'storagePassword'],
  ]);
  if (serve.includes('training') && !serve.includes('sensory'))
    problems.push('--serve training needs the pictures of sensory: serve both.');
  if (!known.has(apiVersion)) problems.push(`--api-version ${apiVersion} is none of --versions.`);
  if (apiKey === undefined && credentials === undefined && !insecureOpen)
    problems.push('Nobody could call: give --api-key, or --credentials, or say --insecure-open.');
  problems.push(...databaseContradictions(config, config.dataDir !== undefined));
  return problems;
}
