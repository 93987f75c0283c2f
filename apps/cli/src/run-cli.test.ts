import { Writable } from 'node:stream';
import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { runCli } from './index.ts';
import { morpheo, startMorpheo } from './testing/morpheo.ts';
import { fakePlatform } from './testing/platform.ts';
import { IDS, sampleHistory, sampleOrder } from './testing/samples.ts';
import { Screen } from './testing/screen.ts';

const COMMANDS = [
  'up',
  'status',
  'workers',
  'queue',
  'upload',
  'get',
  'learn',
  'predict',
  'orders list',
  'orders show',
  'orders watch',
  'orders why',
  'orders cancel',
  'orders retry',
  'logs',
  'leaderboard',
];

test('Every command has help with examples', async (t) => {
  for (const command of COMMANDS) {
    const { code, stdout, stderr } = await morpheo([...command.split(' '), '--help']);
    t.is(code, 0, command);
    t.is(stderr, '');
    t.regex(stdout, /Usage: morpheo [\s\S]*--json[\s\S]*Examples:\n {2}(?:# .*\n {2})?\S*morpheo /, command);
  }
});

test('The help tells the exit codes and where the platform is', async (t) => {
  const { stdout } = await morpheo(['--help']);
  t.regex(stdout, /Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 .*\n {2}3 .*\n {2}4 .*\n {2}5 .*\n {2}130 /);
  t.regex(stdout, /MORPHEO_HOME/);
});

test('A wrong command line is exit code 2 in two lines', async (t) => {
  for (const argv of [
    ['statu'],
    ['status', '--nope'],
    ['orders', 'show'],
    ['upload', 'thing', 'x'],
    ['learn'],
  ]) {
    const { code, stdout, stderr } = await morpheo(argv);
    t.is(code, 2, argv.join(' '));
    t.is(stdout, '');
    t.regex(stderr, /^error: .*\n.*\n$/);
  }
});

test('A service that cannot be reached is exit code 3', async (t) => {
  const env = { MORPHEO_HOME: '/nowhere', MORPHEO_COMPUTE_URL: 'http://127.0.0.1:1' };
  const { code, stdout, stderr } = await morpheo(['workers', '--json'], { env });
  t.is(code, 3);
  t.is(stdout, '');
  t.regex(stderr, /^error: .*127\.0\.0\.1:1.*\nSee what answers with "morpheo status".*\n$/);
});

test('A platform that nobody knows of is exit code 3 with advice', async (t) => {
  const { code, stderr } = await morpheo(['orders', 'list'], { env: { MORPHEO_HOME: '/nowhere' } });
  t.is(code, 3);
  t.regex(
    stderr,
    /no \/nowhere\/connection\.json\.\nStart a platform with "morpheo up", or set MORPHEO_COMPUTE_URL/,
  );
});

test('Wrong credentials are exit code 5 and are not shown', async (t) => {
  await using platform = await fakePlatform({});
  const env = { ...platform.env, MORPHEO_USER: 'me', MORPHEO_PASSWORD: 'not-the-right-one' };
  const { code, stderr } = await morpheo(['workers'], { env });
  t.is(code, 5);
  t.regex(stderr, /^error: .*credentials.*\nSet MORPHEO_USER and MORPHEO_PASSWORD/);
  t.false(stderr.includes('not-the-right-one'));
});

test('Refusals, absences and failures have exit codes of their own', async (t) => {
  const errors: Record<string, PlatformError> = {
    '4': new PlatformError('not_found', 'There is no such order.'),
    '5': new PlatformError('wrong_state', 'The order is done.'),
    '1': new PlatformError('internal', 'It broke.'),
    '3': new PlatformError('unavailable', 'The database does not answer.'),
  };
  for (const [code, error] of Object.entries(errors)) {
    const cancelOrder = async () => {
      throw error;
    };
    await using platform = await fakePlatform({ compute: { cancelOrder } });
    const result = await morpheo(['orders', 'cancel', IDS.order], { env: platform.env });
    t.is(String(result.code), code);
    t.is(result.stdout, '');
    t.true(result.stderr.startsWith(`error: ${error.message}\n`));
  }
});

test('An interrupted command is exit code 130 and says nothing', async (t) => {
  const interrupt = new AbortController();
  await using platform = await fakePlatform({
    compute: {
      getOrder: async () => sampleOrder({ status: 'pending' }),
      orderEvents: async (_input, call) =>
        (async function* () {
          yield* sampleHistory().slice(0, 2);
          await new Promise((resolve) => call?.signal?.addEventListener('abort', resolve));
        })(),
    },
  });
  const watching = startMorpheo(['orders', 'watch', IDS.order], {
    env: platform.env,
    signal: interrupt.signal,
  });
  await watching.stdout.until('a worker took it');
  interrupt.abort();
  const { code, stderr } = await watching.ended;
  t.is(code, 130);
  t.is(stderr, '');
});

test('A reader of the output that goes away is no error', async (t) => {
  await using platform = await fakePlatform({ compute: { getOrder: async () => sampleOrder() } });
  const closed = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    highWaterMark: 1,
  });
  const stderr = new Screen();
  const code = await runCli({
    argv: ['orders', 'show', IDS.order],
    env: platform.env,
    stdout: closed,
    stderr,
  });
  t.is(code, 0);
  t.is(stderr.text, '');
});

test('Colours are for terminals alone, and not with NO_COLOR', async (t) => {
  await using platform = await fakePlatform({ compute: { getOrder: async () => sampleOrder() } });
  const argv = ['orders', 'show', IDS.order];
  const { env } = platform;
  t.true((await morpheo(argv, { env, isTTY: true })).stdout.includes('\u001b[32mdone'));
  t.false((await morpheo(argv, { env })).stdout.includes('\u001b'));
  t.false((await morpheo(argv, { env: { ...env, NO_COLOR: '1' }, isTTY: true })).stdout.includes('\u001b'));
});

test('The version is the package’s', async (t) => {
  t.regex((await morpheo(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
});
