import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { VERSION } from '@morpheo/common';
import { folderProbe, settingsOrCheck, traceProbes } from '@morpheo/service/check';
import {
  type OpenedService,
  type RunningService,
  type ServiceTools,
  startService,
} from '@morpheo/service/lifecycle';
import type { ShepherdFile } from '@morpheo/service/shepherd';
import { tracerOf } from '@morpheo/service/trace';
import { fileProbes } from '@morpheo/shepherd-api/check';
import { readFileOf, start as startAlone } from '@morpheo/shepherd-api/start';
import { startPlatform } from '../platform.ts';
import { callbacksOf, openBeside } from './beside.ts';
import { loadConfig, type ShepherdProgramConfig } from './config.ts';
import { partsOf } from './parts.ts';

/**
 * Starts `shepherd` as its flags and environment say; undefined where only help, or a check, was asked for. Where
 * compute-api is named this is shepherd-api, and nothing else.
 */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const loaded = loadConfig(argv, env);
  const isAlone = 'values' in loaded && (loaded.values?.compute ?? loaded.values?.storage) !== undefined;
  if (isAlone) return await startAlone(argv, env);
  const config = await settingsOrCheck(loaded, ({ dataDir, ...values }) => ({
    ...(dataDir !== undefined && { 'data folder': folderProbe(dataDir) }),
    ...fileProbes(values.config, env),
    ...traceProbes(values),
  }));
  const read = config && (await readFileOf(config, env));
  return await startService(read?.config, {
    name: 'shepherd',
    open: async (values, tools) => await openWhole(values, { env, file: read?.file }, tools),
  });
}

/** The platform, and Shepherd's API on it, in this process. */
async function openWhole(
  config: ShepherdProgramConfig,
  {
    env,
    file,
  }: { readonly env: Readonly<Record<string, string | undefined>>; readonly file: ShepherdFile | undefined },
  tools: ServiceTools,
): Promise<OpenedService> {
  const { log, metrics, stack } = tools;
  const own = { ...config, port: config.port === 0 ? await freePort(config.host) : config.port };
  const folder = join(config.dataDir ?? file?.dataRoot ?? '', 'platform');
  const { storagePort, computePort } = config;
  const platform = stack.use(
    await startPlatform({
      folder,
      ports: { storage: storagePort, compute: computePort, orchestrator: 0 },
      ...partsOf(file, config, { env, log }),
      compute: { callbacks: [callbacksOf(own)] },
      beside: [async (connection) => await openBeside(own, { folder, connection, file }, tools)],
      ...{ log, metrics },
      openTracer: async (service, logOfIt) =>
        await tracerOf(config, { service, version: VERSION, log: logOfIt }),
    }),
  );
  const { shepherd: url, compute, storage } = platform.connection;
  return { drain: async () => await platform.drain(), ready: { url, compute, storage } };
}

/** compute-api has to know where this listens before it does. */
async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
