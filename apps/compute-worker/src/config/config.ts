import { VERSION } from '@morpheo/common';
import {
  nsqdAddresses,
  nsqHttpAddresses,
  nsqSecurityProblems,
  nsqSecuritySettings,
} from '@morpheo/service/broker';
import {
  defineSettings,
  duration,
  loadSettings,
  logSettings,
  pairProblems,
  peerSettings,
  type SettingsOf,
  size,
  unusedSetting,
} from '@morpheo/service/config';
import { traceSettings } from '@morpheo/service/trace';
import { yamlSettings } from '@morpheo/service/yaml';
import { z } from 'zod';
import { bucketSettings } from '../buckets/index.ts';
import { gpuSettings } from '../gpus/settings.ts';
import { imageSettings } from '../images/policy.ts';
import { dockerProblems, dockerSettings } from './docker.ts';
import { offerProblems, offerSettings } from './labels.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { runnerSettings } from './runners.ts';

const PREFIX = 'MORPHEO_WORKER_';
const GIB = 1024 ** 3;
const { run } = DEFAULT_LIMITS;
const text = z.string().min(1);
const port = z.coerce.number().int().min(0).max(65_535);
const slots = z.coerce.number().int().min(0).max(1000);

const toldByCompute = 'compute-api tells the orchestrator';

/** Flags of the original worker that have no use here: a command line that was written for it still starts. */
export const unusedSettings = defineSettings({
  orchestratorHost: unusedSetting(PREFIX, 'orchestrator-host', toldByCompute),
  orchestratorPort: unusedSetting(PREFIX, 'orchestrator-port', toldByCompute),
  orchestratorUser: unusedSetting(PREFIX, 'orchestrator-user', toldByCompute),
  orchestratorPassword: { ...unusedSetting(PREFIX, 'orchestrator-password', toldByCompute), secret: true },
});

/** Every setting of the worker; names of the original are understood where they mean the same. */
export const settings = defineSettings({
  dataDir: {
    flag: 'data-dir',
    env: 'MORPHEO_WORKER_DATA_DIR',
    schema: text,
    help: 'The folder of the worker: who it is, its cache and its workspaces. Two workers need two.',
  },
  name: {
    flag: 'name',
    env: 'MORPHEO_WORKER_NAME',
    schema: text.max(200).optional(),
    help: "What people know the worker by; the machine's name where absent.",
  },
  runtime: {
    flag: 'runtime',
    env: 'MORPHEO_WORKER_RUNTIME',
    schema: z.enum(['docker', 'process']).optional(),
    help: 'What runs the containers. docker: a Docker daemon. process: plain processes of this machine, which isolates nothing.',
  },
  ...dockerSettings,
  ...imageSettings,
  ...gpuSettings,
  ...offerSettings,
  ...runnerSettings,
  ...peerSettings(PREFIX, {
    name: 'compute',
    service: 'compute-api',
    help: 'The address of compute-api, such as http://127.0.0.1:8081.',
    url: 'required',
    credentials: 'optional',
  }),
  ...peerSettings(PREFIX, {
    name: 'storage',
    service: 'storage-api',
    help: 'The address of storage-api, such as http://127.0.0.1:8082.',
    url: 'optional',
    credentials: 'optional',
  }),
  storageHost: {
    flag: 'storage-host',
    env: 'MORPHEO_WORKER_STORAGE_HOST',
    schema: text.optional(),
    help: 'The host of storage-api, as the original has it, in place of --storage.',
  },
  storagePort: {
    flag: 'storage-port',
    env: 'MORPHEO_WORKER_STORAGE_PORT',
    schema: port,
    default: 80,
    help: 'The port of --storage-host.',
  },
  storageRedirect: {
    flag: 'storage-redirect',
    env: 'MORPHEO_WORKER_STORAGE_REDIRECT',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Download inputs from the bucket itself, where storage-api gives links (--s3-links) that are reached from here.',
  },
  ...bucketSettings,
  nsqlookupdUrls: {
    flag: 'nsqlookupd-urls',
    env: 'MORPHEO_WORKER_NSQLOOKUPD_URLS',
    schema: nsqHttpAddresses.optional(),
    list: true,
    help: 'The HTTP addresses of the nsqlookupds that know where orders are published, such as nsqlookupd:4161.',
  },
  httpAddress: {
    flag: 'http-address',
    env: 'MORPHEO_WORKER_HTTP_ADDRESS',
    schema: nsqHttpAddresses.optional(),
    list: true,
    help: 'The HTTP addresses of nsqds, such as nsqd:4151, where topics are made that no nsqlookupd knows yet.',
  },
  nsqd: {
    flag: 'nsqd',
    env: 'MORPHEO_WORKER_NSQD',
    schema: nsqdAddresses.optional(),
    list: true,
    help: 'The TCP addresses of nsqds to hear, such as nsqd:4150, beside or in place of those that nsqlookupd names. Without any NSQ, orders are found by asking alone.',
  },
  ...nsqSecuritySettings(PREFIX),
  learnParallelism: {
    flag: 'learn-parallelism',
    env: 'MORPHEO_WORKER_LEARN_PARALLELISM',
    schema: slots,
    default: 1,
    help: 'How many training orders run at once.',
  },
  predictParallelism: {
    flag: 'predict-parallelism',
    env: 'MORPHEO_WORKER_PREDICT_PARALLELISM',
    schema: slots,
    default: 1,
    help: 'How many prediction orders run at once.',
  },
  jobParallelism: {
    flag: 'job-parallelism',
    env: 'MORPHEO_WORKER_JOB_PARALLELISM',
    schema: slots,
    default: 1,
    help: 'How many jobs run at once.',
  },
  learnTimeout: {
    flag: 'learn-timeout',
    env: 'MORPHEO_WORKER_LEARN_TIMEOUT',
    schema: duration,
    default: DEFAULT_LIMITS.wallMs.learn,
    help: 'How long each container of a training order may run, such as 20m.',
  },
  predictTimeout: {
    flag: 'predict-timeout',
    env: 'MORPHEO_WORKER_PREDICT_TIMEOUT',
    schema: duration,
    default: DEFAULT_LIMITS.wallMs.predict,
    help: 'How long the container of a prediction order may run, such as 20m.',
  },
  jobTimeout: {
    flag: 'job-timeout',
    env: 'MORPHEO_WORKER_JOB_TIMEOUT',
    schema: duration,
    default: DEFAULT_LIMITS.wallMs.job,
    help: 'How long the container of a job may run at the most, such as 24h.',
  },
  memory: {
    flag: 'memory',
    env: 'MORPHEO_WORKER_MEMORY',
    schema: size,
    default: run.memoryBytes,
    help: 'The memory that a container may use, such as 4GiB.',
  },
  disk: {
    flag: 'disk',
    env: 'MORPHEO_WORKER_DISK',
    schema: size,
    default: run.diskBytes,
    help: 'What a container may have on disk, such as 10GiB.',
  },
  diskFiles: {
    flag: 'disk-files',
    env: 'MORPHEO_WORKER_DISK_FILES',
    schema: z.coerce.number().int().min(1),
    default: run.diskFiles,
    help: 'How many files a container may have on disk.',
  },
  output: {
    flag: 'output',
    env: 'MORPHEO_WORKER_OUTPUT',
    schema: size,
    default: run.outputBytes,
    help: 'What a container may print, such as 64MiB; beyond, it is stopped.',
  },
  checkpoint: {
    flag: 'checkpoint',
    env: 'MORPHEO_WORKER_CHECKPOINT',
    schema: size,
    default: DEFAULT_LIMITS.checkpoints.bytes,
    help: 'What a job may leave in /checkpoint for its next attempt, such as 2GiB; 0 keeps nothing.',
  },
  logSize: {
    flag: 'log-size',
    env: 'MORPHEO_WORKER_LOG_SIZE',
    schema: size,
    default: DEFAULT_LIMITS.logBytes,
    help: 'How much of what an order prints is kept, such as 4MiB.',
  },
  cache: {
    flag: 'cache',
    env: 'MORPHEO_WORKER_CACHE',
    schema: size,
    default: 20 * GIB,
    help: 'What inputs may take on disk beside those in use, such as 20GiB.',
  },
  poll: {
    flag: 'poll',
    env: 'MORPHEO_WORKER_POLL',
    schema: duration,
    default: 3000,
    help: 'About how often to ask for orders while there is room, such as 3s.',
  },
  config: {
    flag: 'config',
    env: 'MORPHEO_WORKER_CONFIG',
    schema: text.optional(),
    help: 'YAML file with settings below training_processor, by the names of their flags, with _ for -; a flag, a variable and a secret win over it.',
  },
  grace: {
    flag: 'grace',
    env: 'MORPHEO_WORKER_GRACE',
    schema: duration,
    default: 20_000,
    help: 'How long a worker that is told to stop waits for its orders before it gives them back, such as 20s.',
  },
  host: {
    flag: 'host',
    env: 'MORPHEO_WORKER_HOST',
    schema: text,
    default: '127.0.0.1',
    help: 'The address at which --port listens.',
  },
  port: {
    flag: 'port',
    env: 'MORPHEO_WORKER_PORT',
    schema: port.optional(),
    help: 'The port that answers /health, /ready and /metrics, 0 for any; none where absent.',
  },
  ...traceSettings,
  ...unusedSettings,
  ...logSettings(PREFIX),
});

/** The settings of a worker's process. */
export type WorkerConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'compute-worker',
    description: 'Takes orders from compute-api, runs their containers, and hands in what comes of it.',
    version: VERSION,
    settings,
    file: yamlSettings(settings, { setting: 'config', section: 'training_processor' }),
    secretsFolder: '/run/secrets',
    canCheck: true,
    envPrefix: PREFIX,
    check: contradictions,
    argv,
    env,
  });
}

function contradictions(config: WorkerConfig): string[] {
  const problems = [...brokerContradictions(config), ...offerProblems(config)];
  if (config.runtime === undefined) {
    problems.push(
      '--runtime is not given. The code in the containers is other people’s, so nothing runs it unless told so: ' +
        'say --runtime docker to run it in a Docker daemon, ' +
        'or --runtime process to run it as plain processes of this machine, which isolates nothing.',
    );
  }
  if (config.runtime === 'docker') problems.push(...dockerProblems(config));
  if ((config.storage === undefined) === (config.storageHost === undefined)) {
    problems.push('Say where storage-api is: give --storage, or --storage-host, and not both.');
  }
  const pairs = [
    ['computeUser', 'computePassword'],
    ['storageUser', 'storagePassword'],
  ] as const;
  problems.push(...pairProblems(settings, config, pairs));
  return problems;
}

function brokerContradictions(config: WorkerConfig): string[] {
  const { nsqlookupdUrls, httpAddress, nsqd } = config;
  const problems = nsqSecurityProblems(config, (nsqlookupdUrls ?? nsqd) !== undefined);
  if (httpAddress !== undefined && nsqlookupdUrls === undefined) {
    problems.push(
      '--http-address is where nsqlookupd is to find topics: give --nsqlookupd-urls too, or leave it out.',
    );
  }
  return problems;
}
