import { join } from 'node:path';
import { VERSION } from '@morpheo/common';
import { settingsOrPrint } from '@morpheo/service/config';
import { credentials, readCredentials } from '@morpheo/service/http';
import { type RunningService, startService } from '@morpheo/service/lifecycle';
import { loadConfig } from './config.ts';
import { openOrchestrator } from './service.ts';

/** A stand-in is not traced. */
const UNTRACED = { otlpEndpoint: undefined, otlpHeaders: undefined, otlpRatio: 0 } as const;

/** Starts the stand-in orchestrator by itself; undefined where only help was asked for, which is printed. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const loaded = settingsOrPrint(loadConfig(argv, env));
  return await startService(loaded && { ...loaded, ...UNTRACED }, {
    name: 'orchestrator',
    open: async (config, { log, stack }) => {
      const { host, port } = config;
      const { compute: url, computeUser: name, computePassword: password } = config;
      const caller = {
        name,
        get secret() {
          return password.reveal();
        },
      };
      const service = stack.use(
        await openOrchestrator({
          ...{ host, port, version: VERSION, log },
          databaseFile: join(config.dataDir, 'orchestrator.db'),
          compute: () => ({ url, credentials: caller }),
          authenticate: credentials(await readCredentials(config.credentials)),
          everyMs: 500,
        }),
      );
      return { drain: () => service.drain(), ready: { url: service.url } };
    },
  });
}
