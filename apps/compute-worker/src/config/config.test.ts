import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { loadConfig } from './config.ts';
import { runnerLimitsOf } from './runners.ts';

const ENOUGH = ['--data-dir', '/data', '--runtime', 'process', '--compute', 'http://127.0.0.1:8081'];
const STORAGE = ['--storage', 'http://127.0.0.1:8082'];

function values(argv: readonly string[], env: Record<string, string> = {}) {
  const loaded = loadConfig(argv, env);
  if (loaded.kind !== 'settings') throw new Error(loaded.kind);
  return loaded.values;
}

test('A worker without a runtime refuses to start and says why', (t) => {
  const argv = ['--data-dir', '/data', '--compute', 'http://127.0.0.1:8081', ...STORAGE];
  const error = t.throws(() => loadConfig(argv, {}), { instanceOf: PlatformError, code: 'invalid_request' });
  t.regex(error.message, /--runtime process.*isolates nothing/);
});

test('The flags of the original are understood', (t) => {
  const original = [
    '-learn-parallelism',
    '3',
    '-predict-parallelism=4',
    '-learn-timeout',
    '5m',
    '-predict-timeout',
    '1h30m',
  ];
  const storage = [
    '-storage-host',
    'storage',
    '-storage-port',
    '8082',
    '-storage-user',
    'u',
    '-storage-password',
    'p',
  ];
  const config = values([...ENOUGH, ...original, ...storage]);
  t.like(config, {
    learnParallelism: 3,
    predictParallelism: 4,
    learnTimeout: 300_000,
    predictTimeout: 5_400_000,
  });
  t.like(config, { storageHost: 'storage', storagePort: 8082, storageUser: 'u' });
  t.is(config.storagePassword?.reveal(), 'p');
});

test('A container may run for 20 minutes where nothing else is said', (t) => {
  const config = values([...ENOUGH, ...STORAGE]);
  t.like(config, { learnTimeout: 1_200_000, learnParallelism: 1, port: undefined });
});

test('A worker offers labels, given several times or with commas between', (t) => {
  const config = values([...ENOUGH, ...STORAGE, '--label', 'zone=a,example.org/disk=', '--label', 'rack=7']);
  t.deepEqual(config.labels, { zone: 'a', 'example.org/disk': '', rack: '7' });
  t.is(values([...ENOUGH, ...STORAGE]).labels, undefined);
  for (const [bad, said] of [
    ['zone', /should be labels such as zone=a/],
    ['zone=a,zone=b', /each key once/],
    ['-zone=a', /-zone should be a name of at most 63/],
    ['zone=a b', /zone should be at most 63 letters/],
  ] as const) {
    t.throws(() => values([...ENOUGH, ...STORAGE, `--label=${bad}`]), { message: said });
  }
});

test('Sizes and durations have units', (t) => {
  const config = values([...ENOUGH, ...STORAGE, '--memory', '512MiB', '--cache=2TiB', '--grace', '1.5s'], {});
  t.like(config, { memory: 512 * 1024 ** 2, cache: 2 * 1024 ** 4, grace: 1500 });
  for (const bad of ['--memory=lots', '--memory=0', '--grace=soon', '--learn-timeout=-1s', '--poll=0s']) {
    t.throws(() => values([...ENOUGH, ...STORAGE, bad]), { code: 'invalid_request' });
  }
});

test('Storage is named in one way, and credentials are whole', (t) => {
  const both = [...ENOUGH, ...STORAGE, '--storage-host', 'storage'];
  for (const argv of [ENOUGH, both, [...ENOUGH, ...STORAGE, '--compute-user', 'worker']]) {
    t.throws(() => values(argv), { code: 'invalid_request' });
  }
});

test('NSQ is named as in the original, and by the addresses of nsqds', (t) => {
  const original = ['-nsqlookupd-urls', 'a:4161', '-nsqlookupd-urls=b:4161', '-http-address', 'nsqd:4151'];
  t.like(values([...ENOUGH, ...STORAGE, ...original]), {
    nsqlookupdUrls: ['a:4161', 'b:4161'],
    httpAddress: ['nsqd:4151'],
  });
  t.deepEqual(values([...ENOUGH, ...STORAGE, '--nsqd=a:4150,b:4150']).nsqd, ['a:4150', 'b:4150']);
  t.is(values([...ENOUGH, ...STORAGE]).nsqd, undefined);
});

test('Settings of an NSQ that is not named are refused', (t) => {
  for (const argv of [
    ['--http-address=a:1'],
    ['--nsq-ca=x'],
    ['--nsqd=nsqd'],
    ['--nsqd=a:1', '--nsq-key=k'],
  ]) {
    t.throws(() => values([...ENOUGH, ...STORAGE, ...argv]), { code: 'invalid_request' }, argv.join(' '));
  }
});

test('The settings of Docker are called as Docker calls them', (t) => {
  const argv = [
    '--data-dir',
    '/data',
    '--compute',
    'http://127.0.0.1:8081',
    ...STORAGE,
    '--runtime',
    'docker',
  ];
  const config = values([...argv, '-docker-timeout', '5m'], { DOCKER_HOST: 'tcp://dind-executor:2376' });
  t.like(config, { dockerHost: 'tcp://dind-executor:2376', dockerTimeout: 300_000, dockerData: 'auto' });
  t.throws(() => values(argv, { DOCKER_HOST: 'tcp://dind:2376', DOCKER_TLS_VERIFY: '1' }), {
    code: 'invalid_request',
    message: /--docker-cert-path/,
  });
  t.notThrows(() => values(argv, { DOCKER_TLS_VERIFY: '1' }));
});

test('Warm runners are bounded by settings, and can be left out', (t) => {
  t.like(runnerLimitsOf(values([...ENOUGH, ...STORAGE])), {
    most: 4,
    queue: 100,
    calls: 1000,
    ageMs: 3_600_000,
  });
  const flags = ['--runners', '0', '--runner-memory', '8GiB', '--runner-idle', '1m', '--runner-wait=2m'];
  t.like(runnerLimitsOf(values([...ENOUGH, ...STORAGE, ...flags])), {
    ...{ most: 0, memoryBytes: 8 * 1024 ** 3, idleMs: 60_000, waitMs: 120_000, startMs: 600_000 },
  });
});

test('What a worker is dedicated to is a label of its own', (t) => {
  const given = ['--label', 'trainer=1,zone=a', '--dedicated', 'trainer'];
  t.deepEqual(values([...ENOUGH, ...STORAGE, ...given]).dedicated, ['trainer']);
  t.throws(() => values([...ENOUGH, ...STORAGE, '--dedicated', 'trainer']), {
    message: /--dedicated trainer is no key of what the worker offers/,
  });
});

test('The programs of the operator run as plain processes', (t) => {
  t.is(values([...ENOUGH, ...STORAGE, '--programs', '/programs']).programs, '/programs');
  const inDocker = ENOUGH.map((word) => (word === 'process' ? 'docker' : word));
  t.throws(() => values([...inDocker, ...STORAGE, '--programs', '/programs']), {
    message: /--programs is for --runtime process/,
  });
});
