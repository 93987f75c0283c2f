import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { settingsOrCheck } from '@morpheo/service/check';
import { readDatabasePlace } from '@morpheo/service/database';
import {
  credentials,
  isLoopback,
  rateLimitsOf,
  readCredentials,
  refuseOpenListen,
} from '@morpheo/service/http';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog } from '@morpheo/service/log';
import { createMetrics } from '@morpheo/service/metrics';
import { tracerOf } from '@morpheo/service/trace';
import { probesOf } from './check.ts';
import { COMPUTE_DEFAULTS } from './compute.ts';
import { type ComputeConfig, loadConfig } from './config.ts';
import { openBroker, orchestratorOf, storageOf } from './neighbours.ts';
import { DATABASE, openComputeService } from './service.ts';

const VERSION = '0.1.0';

/** Starts compute-api as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), probesOf);
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
  const tracer = stack.use(await tracerOf(config, { service: 'compute-api', version: VERSION, log }));
  const broker = stack.use(await openBroker(config, log));
  // Orders are taken without it, too; whoever starts the service should see at once what is wrong.
  broker.ping().catch((err: unknown) => {
    log.warn({ err }, 'Workers cannot be woken through NSQ yet; they ask by themselves');
  });
  const service = stack.use(
    await openComputeService({
      host: config.host,
      port: config.port,
      tls: await readTls(config),
      database: await readDatabasePlace(config, join(config.dataDir ?? '', DATABASE.file)),
      broker,
      storage: storageOf(config),
      orchestrator: orchestratorOf(config),
      authenticate: entries === null ? null : credentials(entries),
      anonymousIntake: config.anonymousIntake ?? isLoopback(config.host),
      rateLimits: rateLimitsOf(config),
      settings: { ...COMPUTE_DEFAULTS, ...patienceOf(config) },
      version: VERSION,
      log,
      metrics: createMetrics({ process: true }),
      tracer,
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

function patienceOf({ leaseMs, attempts, gpuPatienceMs, ageingMs }: ComputeConfig) {
  return { leaseMs, renewMs: Math.ceil(leaseMs / 3), attempts, gpuPatienceMs, ageingMs };
}

async function readTls({ cert, key }: ComputeConfig) {
  if (cert === undefined || key === undefined) return undefined;
  return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}
