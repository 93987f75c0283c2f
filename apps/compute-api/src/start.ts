import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openMemoryBroker } from '@morpheo/service/broker';
import { settingsOrPrint } from '@morpheo/service/config';
import { credentials, isLoopback, readCredentials, refuseOpenListen } from '@morpheo/service/http';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog } from '@morpheo/service/log';
import { COMPUTE_DEFAULTS } from './compute.ts';
import { type ComputeConfig, loadConfig } from './config.ts';
import { openComputeService, type Peer } from './service.ts';

const VERSION = '0.1.0';

/** Starts compute-api as its flags and environment say; undefined where only help was asked for, which is printed. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = settingsOrPrint(loadConfig(argv, env));
  return config === undefined ? undefined : await startWith(config);
}

async function startWith(config: ComputeConfig): Promise<RunningService> {
  const log = createLog({ service: 'compute-api', level: config.logLevel });
  const entries = config.credentials === undefined ? null : await readCredentials(config.credentials);
  refuseOpenListen({
    host: config.host,
    authenticated: entries !== null,
    acknowledged: config.insecureOpen,
    setting: '--insecure-open',
  });
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(openMemoryBroker());
  const service = stack.use(
    await openComputeService({
      host: config.host,
      port: config.port,
      tls: await readTls(config),
      databaseFile: join(config.dataDir, 'compute.db'),
      broker,
      storage: peer(config.storage, config.storageUser, config.storagePassword.reveal()),
      orchestrator: orchestratorOf(config),
      authenticate: entries === null ? null : credentials(entries),
      anonymousIntake: config.anonymousIntake ?? isLoopback(config.host),
      settings: { ...COMPUTE_DEFAULTS, ...patienceOf(config) },
      version: VERSION,
      log,
    }),
  );
  const opened = stack.move();
  return {
    drain: async () => await service.drain(),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
    ready: { url: service.url },
    log,
  };
}

function patienceOf({ leaseMs, attempts }: ComputeConfig) {
  return { leaseMs, renewMs: Math.ceil(leaseMs / 3), attempts };
}

function peer(url: string, name: string | undefined, secret: string | undefined): Peer {
  return { url, credentials: name === undefined || secret === undefined ? undefined : { name, secret } };
}

function orchestratorOf(config: ComputeConfig): Peer | undefined {
  if (config.orchestrator === undefined) return undefined;
  return peer(config.orchestrator, config.orchestratorUser, config.orchestratorPassword?.reveal());
}

async function readTls({ cert, key }: ComputeConfig) {
  if (cert === undefined || key === undefined) return undefined;
  return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}
