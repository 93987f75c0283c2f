import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VERSION } from '@morpheo/common';
import { settingsOrCheck } from '@morpheo/service/check';
import { readDatabasePlace } from '@morpheo/service/database';
import { type CredentialEntry, hashSecret, openAccess, readTls } from '@morpheo/service/http';
import {
  type OpenedService,
  type RunningService,
  type ServiceTools,
  startService,
} from '@morpheo/service/lifecycle';
import { probesOf } from './check.ts';
import { classificationOf } from './classification/settings.ts';
import { computeOf, peersOf, storageOf } from './clients.ts';
import { type DiceboxConfig, databaseFileOf, loadConfig } from './config.ts';
import { KEY_ROLES } from './http/keys.ts';
import { openDiceboxService } from './service.ts';

/** Starts dicebox as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), probesOf);
  return await startService(config, { name: 'dicebox', open: openDicebox });
}

/** dicebox, opened. */
export interface OpenedDicebox extends OpenedService {
  readonly url: string;
}

/** Opens dicebox as its settings say; all that has to be closed goes onto the stack. */
export async function openDicebox(
  config: DiceboxConfig,
  { log, metrics, tracer, stack }: ServiceTools,
  /** Callers beside those that the settings know. */
  further: readonly CredentialEntry[] = [],
): Promise<OpenedDicebox> {
  const { host, port, hosts, serve, pictureSet, apiVersion, versions, origins, apiKey: key } = config;
  const apiKey = key === undefined ? undefined : { name: config.apiUser, key };
  const others = async () =>
    // A caller of that name has a secret of its own.
    apiKey === undefined || further.some(({ name }) => name === apiKey.name)
      ? further
      : [
          ...further,
          { name: apiKey.name, roles: KEY_ROLES, secretHash: await hashSecret(apiKey.key.reveal()) },
        ];
  const access = stack.use(await openAccess(config, { log, others: await others() }));
  key?.onRenewed(async () => access.replaceOthers(await others()));
  const dataDir = config.dataDir ?? (await temporaryFolder(stack));
  const service = stack.use(
    await openDiceboxService({
      ...{
        host,
        port,
        hosts,
        serve,
        pictureSet,
        training: config,
        apiKey,
        apiVersion,
        versions,
        origins,
        log,
        metrics,
        tracer,
      },
      tls: await readTls(config),
      database: await readDatabasePlace(config, databaseFileOf(config), { log, stack }),
      folder: dataDir,
      authenticate: access.callers?.authenticate ?? null,
      classification: classificationOf(config),
      ...peersOf(computeOf(config), storageOf(config)),
      version: VERSION,
    }),
  );
  const { url } = service;
  return { url, drain: async () => await service.drain(), ready: { url, serve } };
}

/** A folder that goes when the service is closed. */
async function temporaryFolder(stack: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dicebox-'));
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}
