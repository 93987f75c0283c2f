import { readFile } from 'node:fs/promises';
import { settingsOrPrint } from '@morpheo/service/config';
import { type CredentialEntry, credentials, hashSecret, readCredentials } from '@morpheo/service/http';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog } from '@morpheo/service/log';
import { loadConfig, type StorageConfig, VERSION } from './config.ts';
import { openStorageService } from './service.ts';

/** Starts storage-api as its flags and environment say; undefined where only a text was asked for, which is printed. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = settingsOrPrint(loadConfig(argv, env));
  if (config === undefined) return undefined;
  const log = createLog({ service: 'storage-api', level: config.logLevel });
  const entries = await credentialEntries(config);
  const service = await openStorageService({
    host: config.host,
    port: config.port,
    tls: await readTls(config),
    dataFolder: config.dataDir,
    authenticate: entries.length === 0 ? null : credentials(entries),
    origins: config.origins,
    settings: config,
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
