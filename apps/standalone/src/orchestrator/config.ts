import { defineSettings, loadSettings, type SettingsOf } from '@morpheo/service/config';
import { z } from 'zod';

const text = z.string().min(1);

/** Every setting of the stand-in orchestrator as a process of its own. */
export const settings = defineSettings({
  host: {
    flag: 'host',
    env: 'MORPHEO_ORCHESTRATOR_HOST',
    schema: text,
    default: '127.0.0.1',
    help: 'The address to listen at.',
  },
  port: {
    flag: 'port',
    env: 'MORPHEO_ORCHESTRATOR_PORT',
    schema: z.coerce.number().int().min(0).max(65_535),
    default: 5000,
    help: 'The port to listen at; 0 for any.',
  },
  dataDir: {
    flag: 'data-dir',
    env: 'MORPHEO_ORCHESTRATOR_DATA_DIR',
    schema: text,
    help: 'The folder of its database.',
  },
  compute: {
    flag: 'compute',
    env: 'MORPHEO_ORCHESTRATOR_COMPUTE',
    schema: z.url(),
    help: 'The address of compute-api, to which orders are posted, such as http://127.0.0.1:8081.',
  },
  computeUser: {
    flag: 'compute-user',
    env: 'MORPHEO_ORCHESTRATOR_COMPUTE_USER',
    schema: text,
    help: 'Who we are to compute-api.',
  },
  computePassword: {
    flag: 'compute-password',
    env: 'MORPHEO_ORCHESTRATOR_COMPUTE_PASSWORD',
    schema: text,
    secret: true,
    help: 'The password of --compute-user.',
  },
  credentials: {
    flag: 'credentials',
    env: 'MORPHEO_ORCHESTRATOR_CREDENTIALS',
    schema: text,
    help: 'JSON file of who may call: a list of {name, roles, secretHash}.',
  },
  logLevel: {
    flag: 'log-level',
    env: 'MORPHEO_ORCHESTRATOR_LOG_LEVEL',
    schema: z.enum(['debug', 'info', 'warn', 'error']),
    default: 'info',
    help: 'The least serious lines that are logged.',
  },
});

/** The settings of an orchestrator's process. */
export type OrchestratorConfig = SettingsOf<typeof settings>;

/** The version that the service tells. */
export const VERSION = '0.1.0';

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'orchestrator',
    description: 'A stand-in for the orchestrator: keeps what it is told, and orders rank after rank.',
    version: VERSION,
    settings,
    envPrefix: 'MORPHEO_ORCHESTRATOR_',
    argv,
    env,
  });
}
