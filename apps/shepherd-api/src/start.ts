import { join } from 'node:path';
import { VERSION } from '@morpheo/common';
import { settingsOrCheck } from '@morpheo/service/check';
import { readTls } from '@morpheo/service/http';
import {
  type OpenedService,
  type RunningService,
  type ServiceTools,
  startService,
} from '@morpheo/service/lifecycle';
import { readShepherdFile, type ShepherdFile } from '@morpheo/service/shepherd';
import { probesOf } from './check.ts';
import { callsOf, computeOf, storageOf } from './clients.ts';
import { loadConfig, type ShepherdConfig } from './config.ts';
import { RegistryModels } from './models/models.ts';
import { openShepherdService } from './service.ts';
import { openFolderStore } from './store/folder.ts';
import { openS3Store } from './store/s3.ts';
import type { JobStore } from './store/store.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Starts shepherd-api as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(argv: readonly string[], env: Env): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), (values) => probesOf(values, env));
  const file = config?.config === undefined ? undefined : await readShepherdFile(config.config, env);
  // A flag wins over the file.
  const logLevel = config?.logLevel === 'info' ? (file?.logLevel ?? 'info') : config?.logLevel;
  const asked = config && { ...config, logLevel: logLevel ?? 'info' };
  return await startService(asked, {
    name: 'shepherd-api',
    open: async (values, tools) => await openShepherd(values, file, tools),
  });
}

/** shepherd-api, opened. */
export interface OpenedShepherd extends OpenedService {
  readonly url: string;
}

/** Opens shepherd-api, with the file that its settings name; all that has to be closed goes onto the stack. */
export async function openShepherd(
  config: ShepherdConfig,
  file: ShepherdFile | undefined,
  { log, metrics, tracer, stack }: ServiceTools,
): Promise<OpenedShepherd> {
  const { host, port, hosts, dialect, protocol, callbackUrl, waitMs } = config;
  const folder = folderOf(config, file);
  const service = stack.use(
    await openShepherdService({
      ...{ host, port, hosts, dialect, protocol, callbackUrl, waitMs, folder, log, metrics, tracer },
      tls: await readTls(config),
      sheep: file?.sheep ?? [],
      models: new RegistryModels(file?.registry, log),
      store: stack.use(await openStore(file?.storage, folder)),
      ...callsOf(computeOf(config), storageOf(config)),
      version: VERSION,
    }),
  );
  const { url } = service;
  return { url, drain: async () => await service.drain(), ready: { url, dialect } };
}

/** The folder of what this service keeps itself, beside what else lies in the data root of the original. */
function folderOf({ dataDir }: ShepherdConfig, file: ShepherdFile | undefined): string {
  return dataDir ?? join(file?.dataRoot ?? '', 'shepherd-api');
}

/** The store of the configuration; a folder where that names none. */
async function openStore(storage: ShepherdFile['storage'], folder: string): Promise<JobStore> {
  if (storage === undefined) return await openFolderStore(join(folder, 'buckets'));
  const { url: endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = storage;
  return openS3Store({ endpoint, credentials: { accessKeyId, secretAccessKey } });
}
