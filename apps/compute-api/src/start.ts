import { join } from 'node:path';
import { VERSION } from '@morpheo/common';
import { settingsOrCheck } from '@morpheo/service/check';
import { readDatabasePlace } from '@morpheo/service/database';
import {
  followTicketKeys,
  instanceSigner,
  instanceVerifier,
  openAccess,
  rateLimitsOf,
  readTls,
  streamLimitsOf,
  ticketSigner,
} from '@morpheo/service/http';
import {
  type OpenedService,
  type RunningService,
  type ServiceTools,
  startService,
} from '@morpheo/service/lifecycle';
import { callsOf } from './calls/settings.ts';
import { probesOf } from './check.ts';
import { openBroker, orchestratorOf, storageOf } from './clients.ts';
import { COMPUTE_DEFAULTS, type ComputeConfig, loadConfig, takesAnonymousOrders } from './config.ts';
import { retentionOf } from './retention/settings.ts';
import { DATABASE, type DirectorySettings, openComputeService } from './service.ts';

/** Starts compute-api as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), probesOf);
  return await startService(config, { name: 'compute-api', open });
}

async function open(
  config: ComputeConfig,
  { log, metrics, tracer, stack }: ServiceTools,
): Promise<OpenedService> {
  const { callers } = stack.use(await openAccess(config, { log }));
  const broker = stack.use(await openBroker(config, log, stack));
  // Orders are taken without it, too; whoever starts the service should see at once what is wrong.
  broker.ping().catch((error: unknown) => {
    log.warn({ error }, 'Workers cannot be woken through NSQ yet; they ask by themselves');
  });
  const {
    host,
    port,
    hosts,
    leaseMs,
    attempts,
    gpuPatienceMs,
    ageingMs,
    orderData,
    openOrders,
    callbacks = [],
    foreignTimeoutMs,
  } = config;
  const foreignWorkers = config.foreignWorkers === true ? { timeoutMs: foreignTimeoutMs } : undefined;
  const { ticketKeyFile: file } = config;
  const tickets = file === undefined ? undefined : stack.use(await followTicketKeys({ file, log }));
  const renewMs = Math.ceil(leaseMs / 3);
  const service = stack.use(
    await openComputeService({
      host,
      port,
      hosts,
      tls: await readTls(config),
      database: await readDatabasePlace(config, join(config.dataDir ?? '', DATABASE.file), { log, stack }),
      broker,
      storage: storageOf(config),
      orchestrator: orchestratorOf(config),
      callers,
      directory: directoryOf(config),
      signTicket: tickets === undefined ? undefined : ticketSigner(tickets.keys),
      instances:
        tickets === undefined
          ? undefined
          : { sign: instanceSigner(tickets.keys), verify: instanceVerifier(tickets.keys) },
      warnings: tickets === undefined ? {} : { 'ticket keys': tickets.warning },
      anonymousIntake: takesAnonymousOrders(config),
      rateLimits: rateLimitsOf(config),
      streamLimits: streamLimitsOf(config),
      settings: {
        ...{
          ...COMPUTE_DEFAULTS,
          leaseMs,
          renewMs,
          attempts,
          gpuPatienceMs,
          ageingMs,
          orderData,
          openOrders,
          callbacks,
          foreignWorkers,
          calls: callsOf(config),
          retention: retentionOf(config),
        },
      },
      version: VERSION,
      log,
      metrics,
      tracer,
    }),
  );
  return { drain: async () => await service.drain(), ready: { url: service.url } };
}

/** How the people are followed; undefined where the operator does without. */
function directoryOf({
  directoryEveryMs,
  directoryCopy,
  dataDir,
}: ComputeConfig): DirectorySettings | undefined {
  if (directoryEveryMs === 0) return undefined;
  const copy = directoryCopy ?? (dataDir === undefined ? undefined : join(dataDir, 'directory.json'));
  return { everyMs: directoryEveryMs, copy };
}
