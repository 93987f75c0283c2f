import { settingsOrPrint } from '@morpheo/service/config';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog } from '@morpheo/service/log';
import { loadConfig } from './config.ts';
import { startPlatform } from './platform.ts';

/** Starts the platform as its flags and environment say; undefined where only help was asked for, which is printed. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = settingsOrPrint(loadConfig(argv, env));
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
  });
  const { storage, compute, orchestrator } = platform.connection;
  return {
    drain: async () => await platform.drain(),
    [Symbol.asyncDispose]: async () => await platform[Symbol.asyncDispose](),
    ready: { storage, compute, orchestrator },
    log,
  };
}
