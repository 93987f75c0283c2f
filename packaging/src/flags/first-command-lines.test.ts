import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { runCli } from '@morpheo/cli';
import { loadConfig as loadCompute } from '@morpheo/compute-api/config';
import { loadConfig as loadWorker } from '@morpheo/compute-worker/config';
import { loadConfig as loadStorage } from '@morpheo/storage-api/config';
import test from 'ava';

type Env = Readonly<Record<string, string>>;
type Load = (
  argv: readonly string[],
  env: Env,
) => { readonly kind: string; readonly values?: object | undefined };

/** A command line as the first services were started with, and what it has to mean. */
interface Line {
  readonly title: string;
  readonly load: Load;
  readonly line: string;
  readonly env: Env;
  readonly means: Readonly<Record<string, unknown>>;
}

/** What ours asks for beyond the originals: who calls whom, and where compute-api is. */
const COMPUTE_ENV = {
  MORPHEO_COMPUTE_STORAGE: 'http://127.0.0.1:8000',
  MORPHEO_COMPUTE_STORAGE_USER: 'compute',
  MORPHEO_COMPUTE_STORAGE_PASSWORD: 'secret',
  MORPHEO_COMPUTE_CREDENTIALS: '/credentials.json',
  MORPHEO_COMPUTE_TICKET_KEY_FILE: '/ticket.key',
  MORPHEO_COMPUTE_DATA_DIR: '/data',
};

const WORKER_ENV = { MORPHEO_WORKER_COMPUTE: 'http://compute:8000', MORPHEO_WORKER_DATA_DIR: '/data' };

const LINES: readonly Line[] = [
  {
    title: 'compute-api with NSQ',
    load: loadCompute,
    line:
      '-host 0.0.0.0 -port 8000 -orchestrator http://orchestrator:5000 -storage http://storage:8000 ' +
      '-broker nsq -broker-host nsqd -broker-port 4150',
    env: COMPUTE_ENV,
    means: {
      ...{
        host: '0.0.0.0',
        port: 8000,
        orchestrator: 'http://orchestrator:5000',
        storage: 'http://storage:8000',
      },
      ...{ broker: 'nsq', brokerHost: 'nsqd', brokerPort: 4150 },
    },
  },
  {
    title: 'compute-api with its mock broker, by TLS',
    load: loadCompute,
    line: '-storage http://storage:8000 -broker mock -cert /tls/cert.pem -key /tls/key.pem',
    env: COMPUTE_ENV,
    means: { broker: 'mock', cert: '/tls/cert.pem', key: '/tls/key.pem' },
  },
  {
    title: 'the worker',
    load: loadWorker,
    line:
      '-nsqlookupd-urls nsqlookupd:4161 -http-address nsqd:4151 -learn-parallelism 2 -predict-parallelism 3 ' +
      '-learn-timeout 5m -predict-timeout 20m -orchestrator-host orchestrator -orchestrator-port 5000 ' +
      '-orchestrator-user u -orchestrator-password p -storage-host storage -storage-port 8000 -storage-user u ' +
      '-storage-password p -docker-timeout 15m',
    env: {
      ...WORKER_ENV,
      DOCKER_HOST: 'tcp://dind-executor:2376',
      MORPHEO_WORKER_RUNTIME: 'docker',
    },
    means: {
      ...{ learnParallelism: 2, predictParallelism: 3, learnTimeout: 300_000, predictTimeout: 1_200_000 },
      ...{ storageHost: 'storage', storagePort: 8000, storageUser: 'u', dockerTimeout: 900_000 },
      ...{ orchestratorHost: 'orchestrator', dockerHost: 'tcp://dind-executor:2376' },
    },
  },
  {
    title: 'storage-api with PostgreSQL and a folder',
    load: loadStorage,
    line:
      '-host 0.0.0.0 -port 8000 -user operator -password long-and-random -db-host postgres -db-port 5432 ' +
      '-db-name morpheo_storage -db-user storage -db-pass tooshort -db-migrations-dir /migrations ' +
      '-blobstore local -data-dir /data -cert /tls/cert.pem -key /tls/key.pem',
    env: {},
    means: {
      ...{ host: '0.0.0.0', port: 8000, user: 'operator', dbHost: 'postgres', dbPort: 5432 },
      ...{ dbName: 'morpheo_storage', dbUser: 'storage', blobstore: 'local', dataDir: '/data' },
      ...{ cert: '/tls/cert.pem', key: '/tls/key.pem' },
    },
  },
  {
    title: 'storage-api with Amazon',
    load: loadStorage,
    line: '-user u -password p -blobstore s3 -s3-bucket blobs -s3-region eu-west-1',
    env: {},
    means: { blobstore: 's3', s3Bucket: 'blobs', s3Region: 'eu-west-1', port: 8000, host: '127.0.0.1' },
  },
  {
    title: 'storage-api with Google',
    load: loadStorage,
    line: '-user u -password p -blobstore gc -gc-bucket blobs',
    env: {},
    means: { blobstore: 'gc', s3Bucket: 'blobs' },
  },
];

for (const { title, load, line, env, means } of LINES) {
  test(`A first command line of ${title} means what it meant`, (t) => {
    const loaded = load(line.split(' '), env);
    t.is(loaded.kind, 'settings');
    t.like(loaded.values, means);
  });

  test(`A first command line of ${title} gives the same with two dashes and by =`, (t) => {
    const longer = line.replaceAll(/(^| )-(?=[a-z])/g, '$1--');
    t.deepEqual(load(longer.split(' '), env), load(line.split(' '), env));
    const joined = longer.replaceAll(/(--[a-z\d-]+) (?!-)/g, '$1=');
    t.deepEqual(load(joined.split(' '), env), load(line.split(' '), env));
  });
}

/** What does not start, and what is said of it. */
const REFUSED: readonly [title: string, Load, line: string, says: RegExp][] = [
  ['half of TLS', loadCompute, '-cert /tls/cert.pem', /--cert and --key belong together/],
  ['NSQ without a place', loadCompute, '-broker nsq', /Say where to publish/],
  ['a place without NSQ', loadCompute, '-broker mock -broker-host nsqd', /is not the broker/],
  ['an unknown broker', loadCompute, '-broker kafka', /--broker .*kafka/],
  ['no URL', loadCompute, '-storage storage', /--storage .*Invalid URL/],
  ['two places of storage', loadWorker, '-runtime docker -storage-host a --storage http://b', /and not both/],
  ['a duration that is none', loadWorker, '-learn-timeout 5', /--learn-timeout .*such as 20m/],
  ['no runtime', loadWorker, '-storage-host a', /--runtime is not given/],
  ['a rollback', loadStorage, '-user a -password b -db-rollback', /only goes forward/],
  ['half of a database', loadStorage, '-user a -password b -db-host postgres', /needs --db-name, --db-user/],
  ['a bucket of no store', loadStorage, '-user a -password b -s3-bucket x', /say --blobstore s3/],
  ['the known password', loadStorage, '-user u -password p -host 0.0.0.0', /Everybody knows/],
  ['a word without a flag', loadStorage, 'start -user a -password b', /start: stands alone/],
];

for (const [title, load, line, says] of REFUSED) {
  test(`Refused with a reason: ${title}`, (t) => {
    const env = { ...COMPUTE_ENV, ...WORKER_ENV };
    t.throws(() => load(line.split(' '), env), { code: 'invalid_request', message: says });
  });
}

test('Services pass over what people set for the command line tool, as its help tells them to', async (t) => {
  const printed = new PassThrough();
  await runCli({ argv: ['--help'], env: {}, stdout: printed, stderr: printed });
  printed.end();
  const names = [...new Set((await text(printed)).match(/MORPHEO_[A-Z]+_URL/g) ?? [])];
  t.true(names.length >= 3, names.join());
  const env = Object.fromEntries(names.map((name) => [name, 'http://x:1']));
  t.is(loadCompute([], { ...COMPUTE_ENV, ...env }).kind, 'settings');
  t.is(loadWorker(STORAGE_AND_RUNTIME, { ...WORKER_ENV, ...env }).kind, 'settings');
  t.is(loadStorage(['--user', 'a', '--password', 'b'], env).kind, 'settings');
});

const STORAGE_AND_RUNTIME =
  '--runtime process --storage http://s --storage-user u --storage-password p'.split(' ');
