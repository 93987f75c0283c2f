import { VERSION } from '@morpheo/common';
import { settings as workerSettings } from '@morpheo/compute-worker/config';
import { defineSettings, loadSettings, type SettingsOf } from '@morpheo/service/config';
import { contradictions, settings as shepherdSettings } from '@morpheo/shepherd-api/config';
import { z } from 'zod';

const PREFIX = 'MORPHEO_SHEPHERD_';
const { compute, storage } = shepherdSettings;
const { dockerHost, dockerCertPath } = workerSettings;

/** Every setting of `shepherd`: those of shepherd-api, and those of a platform of its own. */
export const settings = defineSettings({
  ...shepherdSettings,
  compute: {
    ...compute,
    schema: z.url().optional(),
    help: 'The address of compute-api, such as http://127.0.0.1:8081. Where absent, a whole platform runs in this process, for this machine alone.',
  },
  storage: {
    ...storage,
    schema: z.url().optional(),
    help: 'The address of storage-api, such as http://127.0.0.1:8082; with --compute.',
  },
  dockerHost: {
    ...dockerHost,
    help: `${dockerHost.help} It runs the sheep of type docker, without --compute.`,
  },
  dockerCertPath,
  computePort: {
    flag: 'compute-port',
    env: `${PREFIX}COMPUTE_PORT`,
    schema: z.coerce.number().int().min(0).max(65_535),
    default: 0,
    help: 'The port of the own compute-api, on loopback; 0 for any.',
  },
  storagePort: {
    flag: 'storage-port',
    env: `${PREFIX}STORAGE_PORT`,
    schema: z.coerce.number().int().min(0).max(65_535),
    default: 0,
    help: 'The port of the own storage-api, on loopback; 0 for any.',
  },
});

/** The settings of a `shepherd` process. */
export type ShepherdProgramConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'shepherd',
    description:
      'Speaks Shepherd’s API: jobs on files in buckets, answered by models that stay loaded. With a platform of its own where none is named.',
    version: VERSION,
    settings,
    canCheck: true,
    envPrefix: PREFIX,
    check: (values) =>
      contradictions({ ...values, compute: values.compute ?? '', storage: values.storage ?? '' }),
    argv,
    env,
  });
}
