import { RUNNER_PROTOCOLS, VERSION } from '@morpheo/common';
import {
  defineSettings,
  duration,
  listenSettings,
  loadSettings,
  logSettings,
  pairProblems,
  peerSettings,
  type SettingsOf,
} from '@morpheo/service/config';
import { traceSettings } from '@morpheo/service/trace';
import { z } from 'zod';

const PREFIX = 'MORPHEO_SHEPHERD_';
const text = z.string().min(1);
const listen = listenSettings(PREFIX, 5000);

/** The dialects of Shepherd's API that are spoken. */
export const DIALECTS = ['0.5', '0.4'] as const;

/** A dialect of {@link DIALECTS}. */
export type Dialect = (typeof DIALECTS)[number];

/** Every setting of shepherd-api. */
export const settings = defineSettings({
  ...listen,
  // The letters of the original.
  host: { ...listen.host, short: 'h' },
  port: { ...listen.port, short: 'p' },
  config: {
    flag: 'config',
    short: 'c',
    env: `${PREFIX}CONFIG`,
    schema: text.optional(),
    help: "The original's configuration (YAML): the bucket store, the registry, the sheep. Without it, buckets are folders in --data-dir, and there are no sheep to choose among.",
  },
  dataDir: {
    flag: 'data-dir',
    env: `${PREFIX}DATA_DIR`,
    schema: text.optional(),
    help: 'The folder of what this service keeps itself; data_root of --config where absent.',
  },
  dialect: {
    flag: 'dialect',
    env: `${PREFIX}DIALECT`,
    schema: z.enum(DIALECTS),
    default: '0.5',
    help: 'The releases of Shepherd whose API is spoken.',
  },
  protocol: {
    flag: 'protocol',
    env: `${PREFIX}PROTOCOL`,
    schema: z.enum(RUNNER_PROTOCOLS),
    default: 'zeromq',
    help: "What models speak with their worker: zeromq, as the original's runners do, or runner, the contract of this platform.",
  },
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
  callbackUrl: {
    flag: 'callback-url',
    env: `${PREFIX}CALLBACK_URL`,
    schema: z.url({ protocol: /^https?$/ }).optional(),
    help: 'Where compute-api reaches this service to tell of ends, such as http://shepherd:5000; it has to allow that by its --callbacks. The address that this service listens at where absent.',
  },
  waitMs: {
    flag: 'wait',
    env: `${PREFIX}WAIT`,
    schema: duration,
    default: 3_600_000,
    help: 'How long wait_ready waits for the end of a job, before it answers 504 with how that stands.',
  },
  ...traceSettings,
  ...logSettings(PREFIX),
});

/** The settings of a shepherd-api process. */
export type ShepherdConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'shepherd-api',
    description: "Speaks Shepherd's API: jobs on files in buckets, as orders of compute-api.",
    version: VERSION,
    settings,
    canCheck: true,
    envPrefix: PREFIX,
    check: contradictions,
    argv,
    env,
  });
}

/** What in the settings contradicts, a sentence each. */
export function contradictions(config: ShepherdConfig): string[] {
  const problems = pairProblems(settings, config, [
    ['cert', 'key'],
    ['computeUser', 'computePassword'],
    ['storageUser', 'storagePassword'],
  ]);
  if (config.config === undefined && config.dataDir === undefined) {
    problems.push('Nothing says where files lie: give --config, or --data-dir.');
  }
  return problems;
}
