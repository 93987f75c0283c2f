import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { z } from 'zod';
import { defineSettings, duration, loadSettings, type Secret, size } from './index.ts';

const settings = defineSettings({
  host: {
    flag: 'host',
    env: 'DEMO_HOST',
    schema: z.string(),
    default: '127.0.0.1',
    help: 'The address to listen at.',
  },
  port: {
    flag: 'port',
    env: 'DEMO_PORT',
    schema: z.coerce.number().int().min(0).max(65535),
    default: 8081,
    help: 'The port to listen at.',
    aliases: ['http-port'],
  },
  storage: { flag: 'storage', env: 'DEMO_STORAGE', schema: z.url(), help: 'Where storage-api is.' },
  password: {
    flag: 'password',
    env: 'DEMO_PASSWORD',
    schema: z.string().min(4).optional(),
    help: 'What to log in with.',
    secret: true,
  },
  insecure: {
    flag: 'insecure',
    env: 'DEMO_INSECURE',
    schema: z.stringbool(),
    default: false,
    help: 'Listens without authentication.',
    switch: true,
  },
});

const REQUIRED = ['--storage', 'http://storage'];

function load(argv: readonly string[], env: Record<string, string> = {}, check?: () => string[]) {
  return loadSettings({
    name: 'demo',
    description: 'Shows settings.',
    version: '1.2.3',
    settings,
    envPrefix: 'DEMO_',
    ...(check === undefined ? {} : { check }),
    argv,
    env,
  });
}

/** The values, where the arguments are expected to be right. */
function valuesOf(argv: readonly string[], env: Record<string, string> = {}) {
  const loaded = load([...REQUIRED, ...argv], env);
  if (loaded.kind !== 'settings') throw new Error(`expected settings, got ${loaded.kind}`);
  return loaded.values;
}

/** The problems, where the arguments are expected to be wrong. */
function problemsOf(argv: readonly string[], env: Record<string, string> = {}, check?: () => string[]) {
  try {
    load(argv, env, check);
  } catch (error) {
    if (error instanceof PlatformError && error.code === 'invalid_request')
      return error.details.problems as string[];
    throw error;
  }
  throw new Error('expected problems');
}

test('Defaults hold where nothing is given', (t) => {
  const values = valuesOf([]);
  const port: number = values.port;
  const password: Secret | undefined = values.password;
  t.is(port, 8081);
  t.is(values.host, '127.0.0.1');
  t.is(password, undefined);
  t.is(values.insecure, false);
});

test('A flag wins over the environment, which wins over the default', (t) => {
  const env = { DEMO_PORT: '1', DEMO_HOST: 'env' };
  const values = valuesOf(['--port', '2'], env);
  t.is(values.port, 2);
  t.is(values.host, 'env');
});

test('Flags of the originals with a single dash are understood', (t) => {
  t.is(valuesOf(['-host', '0.0.0.0', '-port', '80']).port, 80);
  t.is(valuesOf(['-port=80', '-host=::']).host, '::');
  t.is(valuesOf(['-http-port', '80']).port, 80);
});

test('A letter stands for a setting, also the one that is help elsewhere', (t) => {
  const { host, port } = settings;
  const short = defineSettings({ host: { ...host, short: 'h' }, port: { ...port, short: 'p' } });
  const read = (...argv: string[]) =>
    loadSettings({ name: 'demo', description: '', version: '1.2.3', settings: short, argv, env: {} });
  t.deepEqual(read('-h', '0.0.0.0', '-p', '80'), {
    kind: 'settings',
    values: { host: '0.0.0.0', port: 80 },
  });
  t.deepEqual(read('-p8080'), { kind: 'settings', values: { host: '127.0.0.1', port: 8080 } });
  const help = read('--help');
  t.true(help.kind === 'help' && /-h, --host \[value\]/.test(help.text) && !/-h, --help/.test(help.text));
  t.throws(() => read('-h'), { message: /needs a value/ });
});

test('A switch may stand without a value', (t) => {
  t.true(valuesOf(['--insecure']).insecure);
  t.true(valuesOf(['--insecure', '--port', '1']).insecure);
  t.false(valuesOf(['--insecure=false'], { DEMO_INSECURE: 'true' }).insecure);
});

test('An empty value counts as unset', (t) => {
  t.is(valuesOf(['--host='], { DEMO_PORT: '', DEMO_MISSPELT: '' }).port, 8081);
});

test('All problems are told at once, each with its names', (t) => {
  const problems = problemsOf(['--port', 'eighty', '--colour', 'red', 'stray', '--host'], {
    DEMO_PROT: '1',
    DEMO_INSECURE: 'perhaps',
  });
  t.is(problems.length, 7, problems.join('\n'));
  const text = problems.join('\n');
  t.regex(text, /--colour: there is no such flag/);
  t.regex(text, /--port \(DEMO_PORT\): .*number.*"eighty"/);
  t.regex(text, /--host \(DEMO_HOST\): needs a value/);
  t.regex(text, /--storage \(DEMO_STORAGE\): is required/);
  t.regex(text, /DEMO_PROT: there is no such setting/);
  t.regex(text, /--insecure \(DEMO_INSECURE\)/);
});

test('What Kubernetes sets for a Service of our name is passed over', (t) => {
  const env = {
    DEMO_SERVICE_HOST: '10.0.0.1',
    DEMO_SERVICE_PORT: '8000',
    DEMO_SERVICE_PORT_HTTP: '8000',
    DEMO_PORT: 'tcp://10.0.0.1:8000',
    DEMO_PORT_8000_TCP: 'tcp://10.0.0.1:8000',
    DEMO_PORT_8000_TCP_PROTO: 'tcp',
    DEMO_PORT_8000_TCP_PORT: '8000',
    DEMO_PORT_8000_TCP_ADDR: '10.0.0.1',
    DEMO_OTHER_PORT: 'udp://10.0.0.2:53',
    DEMO_OTHER_PORT_53_UDP: 'udp://10.0.0.2:53',
  };
  t.is(valuesOf(REQUIRED, env).port, 8081);
  t.is(valuesOf(REQUIRED, { ...env, DEMO_PORT: '80' }).port, 80);
  t.regex(problemsOf(REQUIRED, { DEMO_PORT: 'http://x' }).join(), /--port \(DEMO_PORT\)/);
  t.regex(problemsOf(REQUIRED, { DEMO_PORT_NAME: '1' }).join(), /DEMO_PORT_NAME: there is no such setting/);
});

test('A word that belongs to no flag is refused', (t) => {
  t.deepEqual(problemsOf(['stray', ...REQUIRED]), ['stray: stands alone and belongs to no flag; remove it.']);
  for (const unquoted of [
    ['--password', 'battery', 'horse'],
    ['--password', '-horse'],
    ['--password', '--horse=x'],
  ]) {
    const problems = problemsOf([...REQUIRED, ...unquoted]).join();
    t.regex(problems, /a word behind a secret/);
    t.notRegex(problems, /horse|battery/);
  }
});

test('Settings that contradict one another are refused', (t) => {
  t.deepEqual(
    problemsOf(REQUIRED, {}, () => ['--a and --b exclude one another']),
    ['--a and --b exclude one another'],
  );
});

test('Contradictions are not looked for in malformed settings', (t) => {
  const problems = problemsOf(['--port', 'x'], {}, () => t.fail() as never);
  t.is(problems.length, 2);
});

test('A secret shows itself to nobody who does not ask', (t) => {
  const { password } = valuesOf(['--password', 'hunter22']);
  t.is(password?.reveal(), 'hunter22');
  for (const shown of [JSON.stringify({ password }), inspect({ password }), `${password}`]) {
    t.regex(shown, /\[secret\]/);
    t.notRegex(shown, /hunter22/);
  }
});

test('A malformed secret is not repeated in the problem', (t) => {
  const [problem = ''] = problemsOf([...REQUIRED, '--password', 'abc']);
  t.regex(problem, /^--password \(DEMO_PASSWORD\): /);
  t.notRegex(problem, /abc/);
});

test('A secret may come from a file', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'config-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'password');
  await writeFile(file, 'from a file\n');
  t.is(valuesOf(['--password-file', file]).password?.reveal(), 'from a file');
  t.is(valuesOf([], { DEMO_PASSWORD_FILE: file }).password?.reveal(), 'from a file');
  t.is(valuesOf(['--password', 'flag'], { DEMO_PASSWORD_FILE: file }).password?.reveal(), 'flag');
  t.regex(
    problemsOf([...REQUIRED, '--password-file', join(folder, 'none')])[0] ?? '',
    /cannot be read: ENOENT/,
  );
  t.regex(
    problemsOf(REQUIRED, { DEMO_PASSWORD: 'here', DEMO_PASSWORD_FILE: file })[0] ?? '',
    /DEMO_PASSWORD and DEMO_PASSWORD_FILE are both given/,
  );
});

test('Help lists every setting with its variable, default and meaning', (t) => {
  for (const argv of [['--help'], ['-h'], ['-help'], ['--port', 'wrong', '--help']]) {
    const loaded = load(argv);
    if (loaded.kind !== 'help') return t.fail(`${argv} gave ${loaded.kind}`);
    for (const { flag, env, help } of Object.values(settings)) {
      t.true(loaded.text.includes(`--${flag} `), flag);
      t.true(loaded.text.includes(`env: ${env}`), env);
      t.true(loaded.text.replaceAll(/\s+/g, ' ').includes(help), help);
    }
    t.regex(loaded.text, /default: 8081/);
  }
});

test('Help shows defaults as they would be given, and what a setting may be', (t) => {
  const own = defineSettings({
    wait: { flag: 'wait', env: 'DEMO_WAIT', schema: duration, default: 5_400_000, help: 'How long.' },
    most: { flag: 'most', env: 'DEMO_MOST', schema: size, default: 20 * 2 ** 30, help: 'How much.' },
    odd: { flag: 'odd', env: 'DEMO_ODD', schema: size, default: 1500, help: 'How much else.' },
    kind: { flag: 'kind', env: 'DEMO_KIND', schema: z.enum(['a', 'b']), default: 'a', help: 'Which.' },
  });
  const about = { name: 'demo', description: 'Shows.', version: '1', settings: own, envPrefix: 'DEMO_' };
  const loaded = loadSettings({ ...about, argv: ['--help'], env: {} });
  const text = loaded.kind === 'help' ? loaded.text.replaceAll(/\s+/g, ' ') : '';
  for (const note of ['default: 90m;', 'default: 20GiB;', 'default: 1500;', 'one of: a, b; default: "a";'])
    t.true(text.includes(note), `${note} ${text}`);
  t.like(loadSettings({ ...about, argv: ['--wait', '90m', '--most', '20GiB'], env: {} }), {
    values: { wait: 5_400_000, most: 20 * 2 ** 30 },
  });
});

test('The version is told without any setting', (t) => {
  t.deepEqual(load(['--version']), { kind: 'version', text: '1.2.3' });
});

test('One problem reads as one line', (t) => {
  const error = t.throws(() => load(['--storage', 'http://s', '--port', '70000']), {
    instanceOf: PlatformError,
  });
  t.is(
    error?.message,
    'The settings have a problem: --port (DEMO_PORT): Too big: expected number to be <=65535, got "70000". The port to listen at.\nSee demo --help.',
  );
});

test('A setting that lists may be given several times', (t) => {
  const list = { flag: 'peer', env: 'DEMO_PEER', schema: z.string(), list: true, help: 'Peers.' };
  const read = (...argv: string[]) =>
    loadSettings({ name: 'demo', description: '', version: '1', settings: { list }, argv, env: {} });
  t.deepEqual(read('-peer', 'a', '--peer=b,c'), { kind: 'settings', values: { list: 'a,b,c' } });
  t.throws(() => read('--peer', 'a', '--peer'), { message: /needs a value/ });
});
