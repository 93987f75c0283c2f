import { nsqdAddresses, nsqSecurityProblems, nsqSecuritySettings } from '@morpheo/service/broker';
import { defineSettings, loadSettings, type SettingsOf } from '@morpheo/service/config';
import { databaseContradictions, databaseSettings } from '@morpheo/service/database';
import { rateSettings } from '@morpheo/service/http';
import { traceSettings } from '@morpheo/service/trace';
import { z } from 'zod';

const port = z.coerce.number().int().min(0).max(65_535);
const text = z.string().min(1);
const milliseconds = z.coerce.number().int().min(1);

/** Every setting of compute-api; names of the original are understood beside ours. */
export const settings = defineSettings({
  host: {
    flag: 'host',
    env: 'MORPHEO_COMPUTE_HOST',
    schema: text,
    default: '127.0.0.1',
    help: 'The address to listen at.',
  },
  port: {
    flag: 'port',
    env: 'MORPHEO_COMPUTE_PORT',
    schema: port,
    default: 8081,
    help: 'The port to listen at; 0 for any.',
  },
  cert: {
    flag: 'cert',
    env: 'MORPHEO_COMPUTE_CERT',
    schema: text.optional(),
    help: 'PEM file of the TLS certificate.',
  },
  key: { flag: 'key', env: 'MORPHEO_COMPUTE_KEY', schema: text.optional(), help: 'PEM file of the TLS key.' },
  dataDir: {
    flag: 'data-dir',
    env: 'MORPHEO_COMPUTE_DATA_DIR',
    schema: text.optional(),
    help: 'The folder of the embedded database; not needed with PostgreSQL.',
  },
  ...databaseSettings('MORPHEO_COMPUTE_'),
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
  ...nsqSecuritySettings('MORPHEO_COMPUTE_'),
  storage: {
    flag: 'storage',
    env: 'MORPHEO_COMPUTE_STORAGE',
    schema: z.url(),
    help: 'The address of storage-api, such as http://127.0.0.1:8082.',
  },
  storageUser: {
    flag: 'storage-user',
    env: 'MORPHEO_COMPUTE_STORAGE_USER',
    schema: text,
    help: 'Who we are to storage-api.',
  },
  storagePassword: {
    flag: 'storage-password',
    env: 'MORPHEO_COMPUTE_STORAGE_PASSWORD',
    schema: text,
    secret: true,
    help: 'The password of --storage-user.',
  },
  orchestrator: {
    flag: 'orchestrator',
    env: 'MORPHEO_COMPUTE_ORCHESTRATOR',
    schema: z.url().optional(),
    help: 'The address of the orchestrator; without it nobody is told how orders end.',
  },
  orchestratorUser: {
    flag: 'orchestrator-user',
    env: 'MORPHEO_COMPUTE_ORCHESTRATOR_USER',
    schema: text.optional(),
    help: 'Who we are to the orchestrator.',
  },
  orchestratorPassword: {
    flag: 'orchestrator-password',
    env: 'MORPHEO_COMPUTE_ORCHESTRATOR_PASSWORD',
    schema: text.optional(),
    secret: true,
    help: 'The password of --orchestrator-user.',
  },
  credentials: {
    flag: 'credentials',
    env: 'MORPHEO_COMPUTE_CREDENTIALS',
    schema: text.optional(),
    help: 'JSON file of who may call: a list of {name, roles, secretHash}.',
  },
  anonymousIntake: {
    flag: 'anonymous-intake',
    env: 'MORPHEO_COMPUTE_ANONYMOUS_INTAKE',
    schema: z.stringbool().optional(),
    switch: true,
    help: 'Take orders at /learn and /pred from callers without credentials, as the original does. Usual on loopback alone.',
  },
  insecureOpen: {
    flag: 'insecure-open',
    env: 'MORPHEO_COMPUTE_INSECURE_OPEN',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Serve without any credentials: whoever reaches the port may do everything.',
  },
  ...rateSettings('MORPHEO_COMPUTE_'),
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
  ...traceSettings,
  logLevel: {
    flag: 'log-level',
    env: 'MORPHEO_COMPUTE_LOG_LEVEL',
    schema: z.enum(['debug', 'info', 'warn', 'error']),
    default: 'info',
    help: 'The least serious lines that are logged.',
  },
});

/** The settings of a compute-api process. */
export type ComputeConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'compute-api',
    description: 'Takes orders, keeps their state, hands them to workers, and tells the orchestrator.',
    version: '0.1.0',
    settings,
    canCheck: true,
    envPrefix: 'MORPHEO_COMPUTE_',
    check: contradictions,
    argv,
    env,
  });
}

function contradictions(config: ComputeConfig): string[] {
  const problems = brokerContradictions(config);
  if ((config.cert === undefined) !== (config.key === undefined)) {
    problems.push('--cert and --key belong together: give both, or neither.');
  }
  if ((config.orchestratorUser === undefined) !== (config.orchestratorPassword === undefined)) {
    problems.push('--orchestrator-user and --orchestrator-password belong together: give both, or neither.');
  }
  if (config.credentials === undefined && !config.insecureOpen) {
    problems.push('Nobody could call: give --credentials, or say --insecure-open.');
  }
  problems.push(...databaseContradictions(config, config.dataDir !== undefined));
  return problems;
}

function brokerContradictions(config: ComputeConfig): string[] {
  const { broker, brokerHost, nsqd } = config;
  const problems = nsqSecurityProblems(config, broker === 'nsq');
  if (broker === 'nsq' && (brokerHost === undefined) === (nsqd === undefined)) {
    problems.push('Say where to publish: give --nsqd, or --broker-host, and not both.');
  }
  if (broker !== 'nsq' && (brokerHost ?? nsqd) !== undefined) {
    problems.push('An nsqd is given, but is not the broker: say --broker nsq, or leave it out.');
  }
  return problems;
}
