import { folderProbe, settingsOrCheck, traceProbes } from '@morpheo/service/check';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog } from '@morpheo/service/log';
import { tracerOf } from '@morpheo/service/trace';
import { loadConfig, VERSION } from './config.ts';
import { startPlatform } from './platform.ts';

/** Starts the platform as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), (values) => ({
    'data folder': folderProbe(values.home),
    ...traceProbes(values),
  }));
  if (config === undefined) return undefined;
  const log = createLog({ service: 'standalone', level: config.logLevel });
  const platform = await startPlatform({
    folder: config.home,
    ports: {
      storage: config.storagePort,
      compute: config.computePort,
      orchestrator: config.orchestratorPort,
    },
    slots: { learn: config.learn, predict: config.predict },
    compute: { attempts: config.attempts },
    log,
    openTracer: async (service, own) => await tracerOf(config, { service, version: VERSION, log: own }),
  });
  const { storage, compute, orchestrator } = platform.connection;
  return {
    drain: async () => await platform.drain(),
    [Symbol.asyncDispose]: async () => await platform[Symbol.asyncDispose](),
    ready: { storage, compute, orchestrator },
    log,
  };
}
