import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { loadConfig, takesAnonymousOrders } from './config.ts';
import { retentionOf } from './retention/settings.ts';

const STORAGE = ['--storage', 'http://storage', '--storage-user', 'u', '--storage-password', 'p'];
const ENOUGH = ['--data-dir', '/data', '--insecure-open', ...STORAGE];

function values(...argv: readonly string[]) {
  const loaded = loadConfig([...ENOUGH, ...argv], {});
  if (loaded.kind !== 'settings') throw new Error(loaded.kind);
  return loaded.values;
}

test('What a client may ask is bounded unless it is said otherwise', (t) => {
  t.like(values(), { rateLimit: 5000, rateBurst: 20_000, guessLimit: 60 });
  t.like(values('--rate-limit', '0', '--guess-limit=7'), { rateLimit: 0, guessLimit: 7 });
});

test('What the command line tool is set by is passed over, and what it does not know is not', (t) => {
  const env = { MORPHEO_COMPUTE_URL: 'http://x:1', MORPHEO_STORAGE_URL: 'http://x:2' };
  t.is(loadConfig(ENOUGH, env).kind, 'settings');
  t.throws(() => loadConfig(ENOUGH, { ...env, MORPHEO_COMPUTE_URLS: 'http://x:1' }), {
    code: 'invalid_request',
  });
});

test('Callbacks are allowed below URLs, with commas or the flag again, and below no odd ones', (t) => {
  t.is(values().callbacks, undefined);
  const [a, b, c] = ['https://a.example/x/', 'http://b.example:8080', 'https://c.example/'];
  t.deepEqual(values('--callbacks', `${a}, ${b}`, '--callbacks', c).callbacks, [a, b, c]);
  for (const odd of ['a.example', 'ftp://a.example/', 'https://u:p@a.example/', 'https://a.example/?q'])
    t.throws(() => values('--callbacks', odd), { message: /--callbacks/ }, odd);
});

test('Where other compute-apis reach this one is said on PostgreSQL alone, and where they can know it', (t) => {
  const url = ['--advertise-url', 'http://10.0.0.7:8081'];
  const postgres = ['--db-url', 'postgres://u:p@127.0.0.1/x'];
  t.is(values(...url, ...postgres).advertiseUrl, 'http://10.0.0.7:8081');
  t.throws(() => values(...url), { message: /on one PostgreSQL/ });
  t.throws(() => values('--advertise-url', 'http://a:b@x', ...postgres), { message: /no credentials/ });
  const known = ['--credentials', '/c', ...STORAGE, ...url, ...postgres];
  t.throws(() => loadConfig(known, {}), { message: /--ticket-key-file with --advertise-url/ });
});

test('Workers ask by themselves where no broker is named', (t) => {
  t.is(values().broker, 'memory');
  t.is(values('-broker', 'mock').broker, 'mock');
});

test('The broker is named as in the original, at the port of nsqd', (t) => {
  t.like(values('-broker', 'nsq', '-broker-host', 'nsqd'), { brokerHost: 'nsqd', brokerPort: 4150 });
});

test('What has ended long ago goes, models only where the operator says so, and off keeps all', (t) => {
  const day = 86_400_000;
  t.like(retentionOf(values()), {
    ...{
      ordersMs: 30 * day,
      mostOrders: null,
      logsMs: null,
      idsMs: 90 * day,
      best: 10,
      removeOutputs: false,
    },
  });
  const off = [
    '--keep-orders-days',
    'off',
    '--keep-orders=off',
    '--keep-logs-days',
    '0',
    '--keep-ids-days=0',
  ];
  t.like(retentionOf(values(...off)), { ordersMs: null, mostOrders: null, logsMs: null, idsMs: null });
  const some = ['--keep-orders-days=2', '--keep-orders=1000', '--keep-logs-days=1', '--remove-outputs'];
  t.like(retentionOf(values(...some)), {
    ...{ ordersMs: 2 * day, mostOrders: 1000, logsMs: day, removeOutputs: true },
  });
});

test('Several nsqds are named with commas or with the flag again', (t) => {
  const nsqd = ['a:4150', 'b:4150', '[::1]:4151'];
  t.deepEqual(values('--broker=nsq', '--nsqd', nsqd.join(', ')).nsqd, nsqd);
  t.deepEqual(values('--broker=nsq', ...nsqd.map((address) => `--nsqd=${address}`)).nsqd, nsqd);
});

test('Where anybody may post orders beyond loopback, the names of the service are given', (t) => {
  const beyond = ['--host', '0.0.0.0'];
  const { hosts } = values(...beyond, '--hosts', 'Compute.example.org,[fd00::1]', '--hosts=10.0.0.7');
  t.deepEqual(hosts, ['compute.example.org', '[fd00::1]', '10.0.0.7']);
  const known = [
    ...STORAGE,
    '--data-dir',
    '/data',
    '--credentials',
    'file',
    '--ticket-key-file',
    'key',
    ...beyond,
  ];
  t.is(loadConfig(known, {}).kind, 'settings');
  const open = () => loadConfig([...known, '--anonymous-intake'], {});
  t.throws(open, { code: 'invalid_request', message: /name the hosts by which clients call with --hosts/ });
});

test('Orders without credentials are usual on loopback alone, and not behind a proxy', (t) => {
  t.true(takesAnonymousOrders(values()));
  t.true(takesAnonymousOrders(values('--hosts', 'compute.localhost')));
  t.false(takesAnonymousOrders(values('--hosts', 'compute.example.org')));
  t.true(takesAnonymousOrders(values('--hosts', 'compute.example.org', '--anonymous-intake')));
});

const CONTRADICTIONS: readonly [string, readonly string[], RegExp][] = [
  ['NSQ nowhere', ['--broker=nsq'], /give --nsqd, or --broker-host/],
  ['NSQ in two ways', ['--broker=nsq', '--nsqd=a:1', '--broker-host=a'], /not both/],
  ['everybody let in beyond loopback by any name', ['--host=0.0.0.0'], /--hosts compute\.example\.org/],
  ['a name with a scheme', ['--hosts=http://a'], /"http:\/\/a" is not a name such as/],
  ['a name with a port', ['--hosts=a,b:80'], /"b:80" is not a name such as/],
  ['an nsqd that is no broker', ['--nsqd=a:1'], /say --broker nsq/],
  ['workers of the original that hear nothing', ['--foreign-workers'], /through NSQ alone: say --broker nsq/],
  ['an address that is none', ['--broker=nsq', '--nsqd=a:4150,b'], /"b" is not an address such as nsqd:4150/],
  ['a secret for nobody', ['--nsq-secret=s'], /no NSQ is/],
  ['logs that outlive their orders', ['--keep-logs-days=31'], /no more than --keep-orders-days/],
  ['a number of days that is none', ['--keep-orders-days=soon'], /from 0 to 36500, or off/],
  [
    'outputs to remove that nobody knows',
    ['--broker=nsq', '--nsqd=a:1', '--foreign-workers', '--remove-outputs'],
    /leave out --remove-outputs/,
  ],
  [
    'a certificate without its key',
    ['--broker=nsq', '--nsqd=a:1', '--nsq-ca=c', '--nsq-cert=c'],
    /--nsq-key/,
  ],
  [
    'a certificate without an authority',
    ['--broker=nsq', '--nsqd=a:1', '--nsq-cert=c', '--nsq-key=k'],
    /--nsq-ca/,
  ],
];

for (const [what, argv, message] of CONTRADICTIONS) {
  test(`It does not start with ${what}`, (t) => {
    t.throws(() => values(...argv), { instanceOf: PlatformError, code: 'invalid_request', message });
  });
}
