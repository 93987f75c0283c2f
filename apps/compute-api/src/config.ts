import { type BackOff, VERSION } from '@morpheo/common';
import { nsqdAddresses, nsqSecurityProblems, nsqSecuritySettings } from '@morpheo/service/broker';
import {
  defineSettings,
  listenSettings,
  loadSettings,
  logSettings,
  pairProblems,
  peerSettings,
  type SettingsOf,
} from '@morpheo/service/config';
import { databaseContradictions, databaseSettings } from '@morpheo/service/database';
import {
  accessSettings,
  isLoopback,
  openIntakeProblem,
  rateSettings,
  streamSettings,
  ticketKeySettings,
} from '@morpheo/service/http';
import { traceSettings } from '@morpheo/service/trace';
import { z } from 'zod';
import { CALL_DEFAULTS, type CallSettings, callContradictions, callSettings } from './calls/settings.ts';
import {
  RETENTION_DEFAULTS,
  type RetentionSettings,
  retentionContradictions,
  retentionSettings,
} from './retention/settings.ts';

const PREFIX = 'MORPHEO_COMPUTE_';
const port = z.coerce.number().int().min(0).max(65_535);
const text = z.string().min(1);
const callbackPrefix = z
  .url({ protocol: /^https?$/, error: 'should be a URL such as https://hooks.example/jobs/' })
  .refine((url) => !/[?#@]/.test(url), 'should have no credentials, no query and no fragment');
const callbackPrefixes = z
  .string()
  .transform((all) => all.split(',').map((one) => one.trim()))
  .pipe(z.array(callbackPrefix));
const milliseconds = z.coerce.number().int().min(1);

/** The setting `--callbacks` of a program whose variables begin with `prefix`. */
export function callbackSetting(prefix: string) {
  return {
    flag: 'callbacks',
    env: `${prefix}CALLBACKS`,
    schema: callbackPrefixes.optional(),
    list: true,
    help: 'The URLs at and below which jobs may have a callback, such as https://hooks.example/jobs/: it is told of their end by a POST. None where absent.',
  } as const;
}

/** Every setting of compute-api; names of the original are understood beside ours. */
export const settings = defineSettings({
  ...listenSettings(PREFIX, 8081),
  dataDir: {
    flag: 'data-dir',
    env: 'MORPHEO_COMPUTE_DATA_DIR',
    schema: text.optional(),
    help: 'The folder of the embedded database; not needed with PostgreSQL.',
  },
  ...databaseSettings(PREFIX),
  broker: {
    flag: 'broker',
    env: 'MORPHEO_COMPUTE_BROKER',
    schema: z.enum(['memory', 'mock', 'nsq']),
    default: 'memory',
    help: 'What wakes workers. nsq: NSQ. memory (the original says mock): nothing beyond this process; workers ask by themselves.',
  },
  brokerHost: {
    flag: 'broker-host',
    env: 'MORPHEO_COMPUTE_BROKER_HOST',
    schema: text.optional(),
    help: 'The host of the nsqd to publish at, as the original has it, in place of --nsqd.',
  },
  brokerPort: {
    flag: 'broker-port',
    env: 'MORPHEO_COMPUTE_BROKER_PORT',
    schema: port,
    default: 4150,
    help: "The TCP port of --broker-host. (The original's default, 4160, is where nsqlookupd listens, which takes no messages.)",
  },
  nsqd: {
    flag: 'nsqd',
    env: 'MORPHEO_COMPUTE_NSQD',
    schema: nsqdAddresses.optional(),
    list: true,
    help: 'The TCP addresses of the nsqds to publish at in turn, such as nsqd:4150.',
  },
  ...nsqSecuritySettings(PREFIX),
  ...peerSettings(PREFIX, {
    name: 'storage',
    service: 'storage-api',
    help: 'The address of storage-api, such as http://127.0.0.1:8082.',
    url: 'required',
    credentials: 'required',
  }),
  ...peerSettings(PREFIX, {
    name: 'orchestrator',
    service: 'the orchestrator',
    help: 'The address of the orchestrator; without it nobody is told how orders end.',
    url: 'optional',
    credentials: 'optional',
  }),
  ...accessSettings(PREFIX),
  ...ticketKeySettings(PREFIX),
  directoryEveryMs: {
    flag: 'directory-every-ms',
    env: 'MORPHEO_COMPUTE_DIRECTORY_EVERY_MS',
    schema: z.coerce.number().int().min(0).max(3_600_000),
    default: 10_000,
    help: 'How often storage-api is asked who the people are: so long a token that was revoked is still taken. 0: only callers of --credentials are let in.',
  },
  directoryCopy: {
    flag: 'directory-copy',
    env: 'MORPHEO_COMPUTE_DIRECTORY_COPY',
    schema: text.optional(),
    help: 'The file that keeps who the people are, for while storage-api is away; directory.json in --data-dir where absent.',
  },
  anonymousIntake: {
    flag: 'anonymous-intake',
    env: 'MORPHEO_COMPUTE_ANONYMOUS_INTAKE',
    schema: z.stringbool().optional(),
    switch: true,
    help: 'Take orders at /learn and /pred from callers without credentials, as the original does. Usual on loopback alone, where --hosts names nothing beyond it; elsewhere it needs --hosts.',
  },
  ...rateSettings(PREFIX),
  ...streamSettings(PREFIX),
  leaseMs: {
    flag: 'lease-ms',
    env: 'MORPHEO_COMPUTE_LEASE_MS',
    schema: milliseconds,
    default: 30_000,
    help: 'How long a worker holds an order without a sign of life.',
  },
  gpuPatienceMs: {
    flag: 'gpu-patience-ms',
    env: 'MORPHEO_COMPUTE_GPU_PATIENCE_MS',
    schema: z.coerce.number().int().min(0),
    default: 60_000,
    help: 'How long an order waits for GPUs, while others take them, before a worker keeps those that come free for it.',
  },
  ageingMs: {
    flag: 'ageing-ms',
    env: 'MORPHEO_COMPUTE_AGEING_MS',
    schema: milliseconds.max(86_400_000),
    default: 600_000,
    help: 'How long an order waits until it has gained a level of priority among the orders of its owner.',
  },
  attempts: {
    flag: 'attempts',
    env: 'MORPHEO_COMPUTE_ATTEMPTS',
    schema: z.coerce.number().int().min(1).max(1000),
    default: 5,
    help: 'How often an order is tried that the platform fails.',
  },
  orderData: {
    flag: 'order-data',
    env: 'MORPHEO_COMPUTE_ORDER_DATA',
    // Storage checks no order that names more than 50,000 things.
    schema: z.coerce.number().int().min(2).max(49_000),
    default: 40_000,
    help: 'How many data sets an order may name, those to train on and those to test on together.',
  },
  openOrders: {
    flag: 'open-orders',
    env: 'MORPHEO_COMPUTE_OPEN_ORDERS',
    schema: z.coerce.number().int().min(0).max(1_000_000_000),
    default: 1_000_000,
    help: 'How many orders of one owner may be open, that is waiting, due or running; more are refused with 429. 0: any number.',
  },
  callbacks: callbackSetting(PREFIX),
  foreignWorkers: {
    flag: 'foreign-workers',
    env: 'MORPHEO_COMPUTE_FOREIGN_WORKERS',
    schema: z.stringbool().optional(),
    switch: true,
    help: "Give orders to the original's workers: each is published once, and they call /worker, /learndone and /preddone here in place of the orchestrator. Our own workers get none.",
  },
  foreignTimeoutMs: {
    flag: 'foreign-timeout-ms',
    env: 'MORPHEO_COMPUTE_FOREIGN_TIMEOUT_MS',
    schema: milliseconds,
    default: 3_600_000,
    help: "How long a worker of the original may take from its first call to its report, before its order is tried again; more than the worker's own time-outs together.",
  },
  ...callSettings,
  ...retentionSettings(PREFIX),
  ...traceSettings,
  ...logSettings(PREFIX),
});

/** The settings of a compute-api process. */
export type ComputeConfig = SettingsOf<typeof settings>;

/** How workers of the originals are served. */
export interface ForeignWorkers {
  /** How long one may take from its first call to its report, in milliseconds. */
  readonly timeoutMs: number;
}

/** How patient compute-api is; times in milliseconds. */
export interface ComputeSettings {
  /** How long a worker holds an order without renewing. */
  readonly leaseMs: number;
  /** How often it is to renew. */
  readonly renewMs: number;
  /** How long an order waits for GPUs, while others take them, before a worker reserves them for it. */
  readonly gpuPatienceMs: number;
  /** How long an order waits until it has gained a level of priority: it holds for orders to come. */
  readonly ageingMs: number;
  /** How often an order is tried that the platform fails. */
  readonly attempts: number;
  /** How many data sets an order may name. */
  readonly orderData: number;
  /** How many open orders an owner may have; 0: any number. */
  readonly openOrders: number;
  /** The URLs at and below which jobs may have a callback. */
  readonly callbacks: readonly string[];
  /** Orders are for workers of the originals, through the queue; absent: for ours, which claim them. */
  readonly foreignWorkers?: ForeignWorkers | undefined;
  /** Synchronous calls in warm runners. */
  readonly calls: CallSettings;
  /** What is kept of orders that have ended. */
  readonly retention: RetentionSettings;
  /** Between two attempts. */
  readonly retryBackOff: BackOff;
  /** Between two tries of an effect (calling the orchestrator, publishing a result). */
  readonly effectBackOff: BackOff;
  /** Between the first message about an order that nobody takes and the second; the pause then doubles, up to a minute. */
  readonly wakeAgainMs: number;
  /** How often the dispatcher and the reaper look by themselves. */
  readonly everyMs: number;
}

/** What production uses where nothing else is said. */
export const COMPUTE_DEFAULTS: ComputeSettings = {
  leaseMs: 30_000,
  renewMs: 10_000,
  gpuPatienceMs: 60_000,
  ageingMs: 600_000,
  attempts: 5,
  orderData: 40_000,
  openOrders: 1_000_000,
  callbacks: [],
  calls: CALL_DEFAULTS,
  retention: RETENTION_DEFAULTS,
  retryBackOff: { firstMs: 2000, mostMs: 300_000, jitter: 0.25 },
  effectBackOff: { firstMs: 500, mostMs: 60_000, jitter: 0.25 },
  wakeAgainMs: 2000,
  everyMs: 1000,
};

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'compute-api',
    description: 'Takes orders, keeps their state, hands them to workers, and tells the orchestrator.',
    version: VERSION,
    settings,
    canCheck: true,
    envPrefix: PREFIX,
    check: contradictions,
    argv,
    env,
  });
}

function contradictions(config: ComputeConfig): string[] {
  const problems = brokerContradictions(config);
  const pairs = [
    ['cert', 'key'],
    ['orchestratorUser', 'orchestratorPassword'],
  ] as const;
  problems.push(...pairProblems(settings, config, pairs));
  if (config.credentials === undefined && !config.insecureOpen) {
    problems.push('Nobody could call: give --credentials, or say --insecure-open.');
  }
  const unnamed = openIntakeProblem({ ...config, open: isOpen(config) });
  if (unnamed !== undefined) problems.push(unnamed);
  // Workers of the originals show their credentials.
  if (config.ticketKeyFile === undefined && !config.insecureOpen && config.foreignWorkers !== true) {
    problems.push(
      'Workers could not read what orders name: give --ticket-key-file, the same as to storage-api.',
    );
  }
  problems.push(...callContradictions(config));
  problems.push(...retentionContradictions(config));
  problems.push(...databaseContradictions(config, config.dataDir !== undefined));
  return problems;
}

/**
 * Whether orders are taken at `/learn` and `/pred` without credentials: by default where only this machine calls. Who
 * names hosts beyond loopback has others call through a proxy.
 */
export function takesAnonymousOrders({ anonymousIntake, host, hosts = [] }: ComputeConfig): boolean {
  return anonymousIntake ?? [host, ...hosts].every(isLoopback);
}

/** Whether a caller without credentials can do something. */
function isOpen(config: ComputeConfig): boolean {
  return (config.insecureOpen && config.credentials === undefined) || takesAnonymousOrders(config);
}

function brokerContradictions(config: ComputeConfig): string[] {
  const { broker, brokerHost, nsqd, foreignWorkers } = config;
  const problems = nsqSecurityProblems(config, broker === 'nsq');
  if (broker === 'nsq' && (brokerHost === undefined) === (nsqd === undefined)) {
    problems.push('Say where to publish: give --nsqd, or --broker-host, and not both.');
  }
  if (broker !== 'nsq' && (brokerHost ?? nsqd) !== undefined) {
    problems.push('An nsqd is given, but is not the broker: say --broker nsq, or leave it out.');
  }
  if (broker !== 'nsq' && foreignWorkers === true) {
    problems.push(
      "The original's workers hear of orders through NSQ alone: say --broker nsq, or leave out --foreign-workers.",
    );
  }
  return problems;
}
