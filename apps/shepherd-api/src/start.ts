import { VERSION } from '@morpheo/common';
import { settingsOrCheck } from '@morpheo/service/check';
import { readTls } from '@morpheo/service/http';
import {
  type OpenedService,
  type RunningService,
  type ServiceTools,
  startService,
} from '@morpheo/service/lifecycle';
import { probesOf } from './check.ts';
import { callsOf, computeOf, storageOf } from './clients.ts';
import { loadConfig, type ShepherdConfig } from './config.ts';
import { openShepherdService } from './service.ts';
import { openFolderStore } from './store/folder.ts';

/** Starts shepherd-api as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), probesOf);
  return await startService(config, { name: 'shepherd-api', open: openShepherd });
}

/** shepherd-api, opened. */
export interface OpenedShepherd extends OpenedService {
  readonly url: string;
}

/** Opens shepherd-api; all that has to be closed goes onto the stack. */
export async function openShepherd(
  config: ShepherdConfig,
  { log, metrics, tracer, stack }: ServiceTools,
): Promise<OpenedShepherd> {
  const { host, port, hosts, dialect, protocol, callbackUrl, waitMs } = config;
  const service = stack.use(
    await openShepherdService({
      ...{ host, port, hosts, dialect, protocol, callbackUrl, waitMs, log, metrics, tracer },
      tls: await readTls(config),
      sheep: [],
      store: stack.use(await openFolderStore(config.dataDir ?? '')),
      ...callsOf(computeOf(config), storageOf(config)),
      callbackKey: new Uint8Array(32),
      version: VERSION,
    }),
  );
  const { url } = service;
  return { url, drain: async () => await service.drain(), ready: { url } };
}
