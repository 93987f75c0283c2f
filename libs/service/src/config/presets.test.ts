import test from 'ava';
import {
  defineSettings,
  listenSettings,
  loadSettings,
  logSettings,
  pairProblems,
  peerOf,
  peerSettings,
  type SettingsOf,
  unusedFlags,
  unusedSetting,
} from './index.ts';

const unused = defineSettings({
  oldFolder: unusedSetting('DEMO_', 'old-folder', 'the folder is found by itself'),
  oldSecret: { ...unusedSetting('DEMO_', 'old-secret', 'nobody is told'), secret: true },
});
const settings = defineSettings({
  ...listenSettings('DEMO_', 8081),
  ...peerSettings('DEMO_', {
    name: 'storage',
    service: 'storage-api',
    help: 'Where storage-api is.',
    url: 'required',
    credentials: 'required',
  }),
  ...peerSettings('DEMO_', {
    name: 'orchestrator',
    service: 'the orchestrator',
    help: 'Where the orchestrator is.',
    url: 'optional',
    credentials: 'optional',
  }),
  ...unused,
  ...logSettings('DEMO_'),
});
const contradictions = (config: SettingsOf<typeof settings>) =>
  pairProblems(settings, config, [
    ['cert', 'key'],
    ['orchestratorUser', 'orchestratorPassword'],
  ]);
const REQUIRED = ['--storage', 'http://storage', '--storage-user', 'us', '--storage-password', 'secret'];

function load(argv: readonly string[], env: Record<string, string> = {}) {
  const loaded = loadSettings({
    name: 'demo',
    description: 'Shows presets.',
    version: '1',
    settings,
    envPrefix: 'DEMO_',
    check: contradictions,
    argv: [...REQUIRED, ...argv],
    env,
  });
  if (loaded.kind !== 'settings') throw new Error(`expected settings, got ${loaded.kind}`);
  return loaded.values;
}

test('A service listens on loopback at its port unless told otherwise', (t) => {
  const { host, port, cert, logLevel } = load([]);
  t.deepEqual([host, port, cert, logLevel], ['127.0.0.1', 8081, undefined, 'info']);
  t.is(load(['--port', '0'], { DEMO_HOST: '::1' }).host, '::1');
});

test('A peer has an address, and a name and a password where they are given', (t) => {
  const config = load(['--orchestrator', 'http://o']);
  const storage: string = config.storage;
  const orchestrator: string | undefined = config.orchestrator;
  t.deepEqual(peerOf(storage, config.storageUser, config.storagePassword), {
    url: 'http://storage',
    credentials: { name: 'us', secret: 'secret' },
  });
  t.deepEqual(peerOf(orchestrator ?? '', config.orchestratorUser, config.orchestratorPassword), {
    url: 'http://o',
    credentials: undefined,
  });
});

test('What a peer needs is asked for by the names of its flags', (t) => {
  const read = () =>
    loadSettings({ name: 'demo', description: '', version: '1', settings, argv: [], env: {} });
  t.throws(read, { message: /--storage \(DEMO_STORAGE\): is required/ });
  t.throws(read, { message: /--storage-user \(DEMO_STORAGE_USER\): is required/ });
  t.throws(read, { message: /--storage-password \(DEMO_STORAGE_PASSWORD\): is required/ });
});

test('Settings that belong together are both given, or neither', (t) => {
  t.throws(() => load(['--cert', 'cert.pem']), {
    message: /--cert and --key belong together: give both, or neither\./,
  });
  t.throws(() => load([], { DEMO_ORCHESTRATOR_USER: 'we' }), {
    message: /--orchestrator-user and --orchestrator-password belong together/,
  });
  t.is(load(['--cert', 'cert.pem', '--key', 'key.pem']).key, 'key.pem');
});

test('Flags of the original that have no use are understood and told', (t) => {
  t.deepEqual(unusedFlags(unused, load([])), []);
  const given = load(['-old-folder', '/old'], { DEMO_OLD_SECRET: 'hidden' });
  t.deepEqual(unusedFlags(unused, given), ['--old-folder', '--old-secret']);
  t.is(String(given.oldSecret), '[secret]');
});
