import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { settingsOrCheck } from '@morpheo/service/check';
import { readDatabasePlace } from '@morpheo/service/database';
import {
  type CredentialEntry,
  credentials,
  hashSecret,
  rateLimitsOf,
  readCredentials,
} from '@morpheo/service/http';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog } from '@morpheo/service/log';
import { createMetrics } from '@morpheo/service/metrics';
import { tracerOf } from '@morpheo/service/trace';
import { blobPlaceOf } from './blob-settings.ts';
import { probesOf } from './check.ts';
import { loadConfig, type StorageConfig, VERSION } from './config.ts';
import { readQuotas } from './ledger-settings.ts';
import { DATABASE_FILE, openStorageService } from './service.ts';
import { unusedFlags } from './unused-settings.ts';

/** Starts storage-api as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), probesOf);
  if (config === undefined) return undefined;
  const log = createLog({ service: 'storage-api', level: config.logLevel });
  const unused = unusedFlags(config);
  if (unused.length > 0) log.warn({ unused }, 'Flags of the original are given that have no use here');
  const entries = await credentialEntries(config);
  await using stack = new AsyncDisposableStack();
  const tracer = stack.use(await tracerOf(config, { service: 'storage-api', version: VERSION, log }));
  const service = stack.use(
    await openStorageService({
      host: config.host,
      port: config.port,
      tls: await readTls(config),
      dataFolder: config.dataDir,
      database: await readDatabasePlace(config, join(config.dataDir, DATABASE_FILE)),
      blobs: await blobPlaceOf(config.blobstore, config, config.dataDir),
      authenticate: entries.length === 0 ? null : credentials(entries),
      origins: config.origins,
      rateLimits: rateLimitsOf(config),
      settings: { ...config, quotas: await readQuotas(config) },
      version: VERSION,
      log,
      metrics: createMetrics({ process: true }),
      tracer,
    }),
  );
  const opened = stack.move();
  return {
    drain: () => service.drain(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
    ready: { url: service.url },
    log,
  };
}

async function credentialEntries({
  user,
  password,
  credentials: file,
}: StorageConfig): Promise<CredentialEntry[]> {
  const entries = file === undefined ? [] : await readCredentials(file);
  if (user === undefined || password === undefined) return entries;
  return [...entries, { name: user, roles: ['admin'], secretHash: await hashSecret(password.reveal()) }];
}

async function readTls({ cert, key }: StorageConfig) {
  if (cert === undefined || key === undefined) return undefined;
  return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}
