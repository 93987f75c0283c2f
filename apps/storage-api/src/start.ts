import { join } from 'node:path';
import { VERSION } from '@morpheo/common';
import { settingsOrCheck } from '@morpheo/service/check';
import { readDatabasePlace } from '@morpheo/service/database';
import { followTicketKeys, openAccess, rateLimitsOf, readTls } from '@morpheo/service/http';
import { type RunningService, startService } from '@morpheo/service/lifecycle';
import { probesOf } from './check.ts';
import { blobLocationOf } from './config/blobs.ts';
import { loadConfig, ownCaller, unusedSettings } from './config/config.ts';
import { readQuotas } from './config/quotas.ts';
import { DATABASE_FILE, openStorageService } from './service.ts';

/** Starts storage-api as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const settings = await settingsOrCheck(loadConfig(argv, env), probesOf);
  return await startService(settings, {
    name: 'storage-api',
    unused: unusedSettings,
    open: async (config, { log, metrics, tracer, stack }) => {
      const access = stack.use(await openAccess(config, { log, others: await ownCaller(config) }));
      config.password?.onRenewed(async () => access.replaceOthers(await ownCaller(config)));
      const { ticketKeyFile: file } = config;
      const tickets = file === undefined ? undefined : stack.use(await followTicketKeys({ file, log }));
      const service = stack.use(
        await openStorageService({
          host: config.host,
          port: config.port,
          hosts: config.hosts,
          tls: await readTls(config),
          dataFolder: config.dataDir,
          database: await readDatabasePlace(config, join(config.dataDir, DATABASE_FILE), { log, stack }),
          blobs: await blobLocationOf(config.blobstore, config, config.dataDir, { log, stack }),
          callers: access.callers,
          tickets: tickets?.verify,
          warnings: tickets === undefined ? {} : { 'ticket keys': tickets.warning },
          origins: config.origins,
          rateLimits: rateLimitsOf(config),
          settings: { ...config, quotas: await readQuotas(config) },
          version: VERSION,
          ...{ log, metrics, tracer },
        }),
      );
      return { drain: () => service.drain(), ready: { url: service.url } };
    },
  });
}
