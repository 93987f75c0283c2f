import { homedir } from 'node:os';
import { join } from 'node:path';
import { VERSION } from '@morpheo/common';
import { callbackSetting } from '@morpheo/compute-api';
import { defineSettings, loadSettings, logSettings, type SettingsOf } from '@morpheo/service/config';
import { traceSettings } from '@morpheo/service/trace';
import { z } from 'zod';

const PREFIX = 'MORPHEO_UP_';

/** A setting whose variable is named for its flag. */
function whole<const Flag extends string>(
  flag: Flag,
  [least, most]: readonly [number, number],
  usual: number,
  help: string,
) {
  const env = `${PREFIX}${flag.toUpperCase().replaceAll('-', '_')}`;
  return { flag, env, schema: z.coerce.number().int().min(least).max(most), default: usual, help };
}

/** Every setting of the platform in one process. */
export const settings = defineSettings({
  home: {
    flag: 'home',
    env: 'MORPHEO_HOME',
    schema: z.string().min(1),
    default: join(homedir(), '.morpheo'),
    help: 'The data folder: everything that the platform keeps.',
  },
  storagePort: whole('storage-port', [0, 65_535], 8082, 'The port of storage-api; 0 for any.'),
  computePort: whole('compute-port', [0, 65_535], 8081, 'The port of compute-api; 0 for any.'),
  orchestratorPort: whole(
    'orchestrator-port',
    [0, 65_535],
    5000,
    'The port of the stand-in orchestrator; 0 for any.',
  ),
  learn: whole('learn', [0, 1000], 1, 'How many training orders run at once.'),
  job: whole('job', [0, 1000], 1, 'How many jobs run at once.'),
  predict: whole('predict', [0, 1000], 1, 'How many prediction orders run at once.'),
  attempts: whole('attempts', [1, 1000], 5, 'How often an order is tried that the platform fails.'),
  keepOrdersDays: whole(
    'keep-orders-days',
    [0, 36_500],
    30,
    'For how many days an order is kept after its end, with its history and log; the ten best of each problem always. 0: for ever.',
  ),
  buckets: {
    flag: 'buckets',
    env: `${PREFIX}BUCKETS`,
    schema: z.string().min(1).optional(),
    help: 'JSON file of the buckets that jobs may name, with the owners who may read and write; none where absent.',
  },
  callbacks: callbackSetting(PREFIX),
  shepherd: {
    flag: 'shepherd',
    env: `${PREFIX}SHEPHERD`,
    schema: z.string().min(1).optional(),
    switch: true,
    help: "Shepherd's API as well: the original's configuration (YAML), whose sheep this platform has; buckets are folders where it names no storage. Without a file there are no sheep to choose among.",
  },
  shepherdPort: whole(
    'shepherd-port',
    [1, 65_535],
    5001,
    "The port of Shepherd's API; its usual one, 5000, is the orchestrator's.",
  ),
  dicebox: {
    flag: 'dicebox',
    env: `${PREFIX}DICEBOX`,
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'dicebox as well: its sensory and training services, its classification service, and a worker that has the picture trainer. Further settings are its variables.',
  },
  diceboxPort: whole('dicebox-port', [0, 65_535], 8002, 'The port of pictures and trainings; 0 for any.'),
  classificationPort: whole(
    'classification-port',
    [0, 65_535],
    8003,
    'The port of the classification service; 0 for any.',
  ),
  trainer: {
    flag: 'trainer',
    env: `${PREFIX}TRAINER`,
    schema: z.string().min(1).optional(),
    help: "The folder of the picture trainer's program, for --dicebox; that of these sources where absent, as `make trainer` installs it.",
  },
  ...traceSettings,
  ...logSettings(PREFIX),
});

/** The settings of a platform process. */
export type PlatformConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'morpheo-standalone',
    description: 'The whole platform in one process, on this machine alone.',
    version: VERSION,
    settings,
    canCheck: true,
    envPrefix: PREFIX,
    argv,
    env,
  });
}
