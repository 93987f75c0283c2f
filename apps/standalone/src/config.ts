import { homedir } from 'node:os';
import { join } from 'node:path';
import { defineSettings, loadSettings, type SettingsOf } from '@morpheo/service/config';
import { traceSettings } from '@morpheo/service/trace';
import { z } from 'zod';

const port = z.coerce.number().int().min(0).max(65_535);
const count = z.coerce.number().int().min(0).max(1000);

/** Every setting of the platform in one process. */
export const settings = defineSettings({
  home: {
    flag: 'home',
    env: 'MORPHEO_HOME',
    schema: z.string().min(1),
    default: join(homedir(), '.morpheo'),
    help: 'The data folder: everything that the platform keeps.',
  },
  storagePort: {
    flag: 'storage-port',
    env: 'MORPHEO_UP_STORAGE_PORT',
    schema: port,
    default: 8082,
    help: 'The port of storage-api; 0 for any.',
  },
  computePort: {
    flag: 'compute-port',
    env: 'MORPHEO_UP_COMPUTE_PORT',
    schema: port,
    default: 8081,
    help: 'The port of compute-api; 0 for any.',
  },
  orchestratorPort: {
    flag: 'orchestrator-port',
    env: 'MORPHEO_UP_ORCHESTRATOR_PORT',
    schema: port,
    default: 5000,
    help: 'The port of the stand-in orchestrator; 0 for any.',
  },
  learn: {
    flag: 'learn',
    env: 'MORPHEO_UP_LEARN',
    schema: count,
    default: 1,
    help: 'How many training orders run at once.',
  },
  predict: {
    flag: 'predict',
    env: 'MORPHEO_UP_PREDICT',
    schema: count,
    default: 1,
    help: 'How many prediction orders run at once.',
  },
  attempts: {
    flag: 'attempts',
    env: 'MORPHEO_UP_ATTEMPTS',
    schema: z.coerce.number().int().min(1).max(1000),
    default: 5,
    help: 'How often an order is tried that the platform fails.',
  },
  ...traceSettings,
  logLevel: {
    flag: 'log-level',
    env: 'MORPHEO_UP_LOG_LEVEL',
    schema: z.enum(['debug', 'info', 'warn', 'error']),
    default: 'info',
    help: 'The least serious lines that are logged.',
  },
});

/** The version that the platform tells. */
export const VERSION = '0.1.0';

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
    envPrefix: 'MORPHEO_UP_',
    argv,
    env,
  });
}
