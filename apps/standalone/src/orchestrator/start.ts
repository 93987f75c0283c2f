import { join } from 'node:path';
import { settingsOrPrint } from '@morpheo/service/config';
import { credentials, readCredentials } from '@morpheo/service/http';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog } from '@morpheo/service/log';
import { loadConfig, VERSION } from './config.ts';
import { openOrchestrator } from './service.ts';

/** Starts the stand-in orchestrator by itself; undefined where only help was asked for, which is printed. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = settingsOrPrint(loadConfig(argv, env));
  if (config === undefined) return undefined;
  const log = createLog({ service: 'orchestrator', level: config.logLevel });
  const callee = {
    url: config.compute,
    credentials: { name: config.computeUser, secret: config.computePassword.reveal() },
  };
  const service = await openOrchestrator({
    host: config.host,
    port: config.port,
    databaseFile: join(config.dataDir, 'orchestrator.db'),
    compute: () => callee,
    authenticate: credentials(await readCredentials(config.credentials)),
    everyMs: 500,
    version: VERSION,
    log,
  });
  return {
    drain: () => service.drain(),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
    ready: { url: service.url },
    log,
  };
}
