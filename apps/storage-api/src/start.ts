import { join } from 'node:path';
import { VERSION } from '@morpheo/common';
import { settingsOrCheck } from '@morpheo/service/check';
import { readDatabasePlace } from '@morpheo/service/database';
import {
  type CredentialEntry,
  hashSecret,
  openAccess,
  openTicketKeys,
  rateLimitsOf,
  readTls,
  ticketVerifier,
  type VerifyTicket,
} from '@morpheo/service/http';
import { type RunningService, startService } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { probesOf } from './check.ts';
import { blobLocationOf } from './config/blobs.ts';
import { loadConfig, type StorageConfig, unusedSettings } from './config/config.ts';
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
      const access = stack.use(await openAccess(config, { log, others: await ownEntry(config) }));
      config.password?.onRenewed(async () => access.replaceOthers(await ownEntry(config)));
      const service = stack.use(
        await openStorageService({
          host: config.host,
          port: config.port,
          hosts: config.hosts,
          tls: await readTls(config),
          dataFolder: config.dataDir,
          database: await readDatabasePlace(config, join(config.dataDir, DATABASE_FILE)),
          blobs: await blobLocationOf(config.blobstore, config, config.dataDir),
          callers: access.callers,
          tickets: await ticketsOf(config, log),
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

/** Knows tickets by the keys of the file; nobody where the settings name none. */
async function ticketsOf({ ticketKeyFile }: StorageConfig, log: Log): Promise<VerifyTicket | undefined> {
  if (ticketKeyFile === undefined) return undefined;
  const unread = (error: unknown): void =>
    log.warn({ error }, 'The ticket keys cannot be read again; those before are used');
  return ticketVerifier(await openTicketKeys(ticketKeyFile, unread));
}

/** The caller that `--user` and `--password` name. */
async function ownEntry({ user, password }: StorageConfig): Promise<CredentialEntry[]> {
  if (user === undefined || password === undefined) return [];
  return [{ name: user, roles: ['admin'], secretHash: await hashSecret(password.reveal()) }];
}
