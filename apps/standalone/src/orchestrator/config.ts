import { VERSION } from '@morpheo/common';
import {
  defineSettings,
  listenSettings,
  loadSettings,
  logSettings,
  peerSettings,
  type SettingsOf,
} from '@morpheo/service/config';
import { z } from 'zod';

const PREFIX = 'MORPHEO_ORCHESTRATOR_';
const text = z.string().min(1);
// It is a stand-in on one machine: no TLS.
const { host, port } = listenSettings(PREFIX, 5000);

/** Every setting of the stand-in orchestrator as a process of its own. */
export const settings = defineSettings({
  host,
  port,
  dataDir: {
    flag: 'data-dir',
    env: `${PREFIX}DATA_DIR`,
    schema: text,
    help: 'The folder of its database.',
  },
  ...peerSettings(PREFIX, {
    name: 'compute',
    service: 'compute-api',
    help: 'The address of compute-api, to which orders are posted, such as http://127.0.0.1:8081.',
    url: 'required',
    credentials: 'required',
  }),
  credentials: {
    flag: 'credentials',
    env: `${PREFIX}CREDENTIALS`,
    schema: text,
    help: 'JSON file of who may call: a list of {name, roles, secretHash}.',
  },
  ...logSettings(PREFIX),
});

/** The settings of an orchestrator's process. */
export type OrchestratorConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'orchestrator',
    description: 'A stand-in for the orchestrator: keeps what it is told, and orders rank after rank.',
    version: VERSION,
    settings,
    envPrefix: PREFIX,
    argv,
    env,
  });
}
