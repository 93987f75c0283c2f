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
  const read = config && (await readFileOf(config, env));
  return await startService(read?.config, {
    name: 'shepherd-api',
    open: async (values, tools) => await openShepherd(values, read?.file, tools),
  });
}

/**
 * Reads the configuration of Shepherd that settings name, and takes its level of the log where they have the usual one.
 * Rejects with `invalid_request` for one that is no good.
 */
export async function readFileOf<C extends Pick<ShepherdConfig, 'config' | 'logLevel'>>(
  config: C,
  env: Env,
): Promise<{ readonly config: C; readonly file: ShepherdFile | undefined }> {
  if (config.config === undefined) return { config, file: undefined };
  const file = await readShepherdFile(config.config, env);
  return { config: config.logLevel === 'info' ? { ...config, logLevel: file.logLevel } : config, file };
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
