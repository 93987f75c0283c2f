import { readFile, writeFile } from 'node:fs/promises';
import { type CallAnswer, type CallRequest, PlatformError, type RunnerView } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { fakePlatform } from '../../testing/platform.ts';
import { IDS } from '../../testing/samples.ts';
import { fakeStorage } from '../../testing/storage-fake.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';

const IMAGE = `registry.example/lab/tool:1@sha256:${'0'.repeat(64)}`;
const ANSWER: CallAnswer = {
  ...{ call: `${'0'.repeat(12)}-${'0'.repeat(20)}`, reused: 3, log: 'warm already\n' },
  ...{ ms: { waited: 0, started: 0, ran: 1.25 } },
  outputs: [{ name: 'answer', data: Buffer.from('42\n').toString('base64') }],
};

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function runner(members: Partial<RunnerView>): RunnerView {
  return {
    ...{ key: 'a'.repeat(64), state: 'idle', protocol: 'runner', owner: 'ann', image: `algo ${IDS.algo}` },
    ...{ memory_bytes: 4 * 2 ** 30, gpus: 0, age_seconds: 65, calls: 12, waiting: 0 },
    ...{ worker: IDS.order, worker_name: 'desk-1' },
    ...members,
  };
}

/** A platform that answers calls so. */
async function setUp(answer: () => Promise<CallAnswer | { uuid: string }> = async () => ANSWER) {
  const posted: { readonly body: CallRequest; readonly prefer: string | undefined }[] = [];
  const retried: string[] = [];
  const runners: RunnerView[] = [];
  const storage = fakeStorage();
  storage.add('algo', Buffer.from('algo'), { uuid: IDS.algo });
  storage.add('model', Buffer.from('model'), { uuid: IDS.model });
  const platform = await fakePlatform({
    storage: storage.api,
    compute: {
      postCall: async ({ body, headers }) => {
        posted.push({ body, prefer: headers.prefer });
        return await answer();
      },
      listRunners: async () => ({ items: runners }),
      retryRunner: async ({ params }) => void retried.push(params.key),
    },
  });
  return {
    ...{ posted, retried, runners, env: platform.env },
    [Symbol.asyncDispose]: () => platform[Symbol.asyncDispose](),
  };
}

test('A call prints the one file that it left, and tells people what its program printed', async (t) => {
  await using fixture = await setUp();
  await using folder = await temporaryFolder();
  await writeFile(folder.file('x'), 'x');
  const argv = [
    'call',
    '--algo',
    'a1b6',
    '--input',
    `/in/x=@${folder.file('x')}`,
    '-e',
    'A=b',
    '--time',
    '5s',
  ];
  const rest = [
    '--wait',
    '1m',
    '--memory',
    '1GiB',
    '--gpus',
    '1',
    '--needs',
    'arch=amd64',
    '--',
    'serve',
    '-x',
  ];
  const { code, stdout, stderr } = await morpheo([...argv, ...rest], { env: fixture.env });
  t.is(code, 0, stderr);
  t.is(stdout, '42\n');
  t.is(stderr, 'warm already\nanswered in 1.3 ms by a program that had answered 3 calls\n');
  t.deepEqual(fixture.posted, [
    {
      prefer: undefined,
      body: {
        ...{ algo: IDS.algo, command: ['serve', '-x'], env: { A: 'b' }, wait_seconds: 60 },
        ...{ limits: { wall_seconds: 5, memory_bytes: 2 ** 30 }, gpus: 1, needs: { arch: 'amd64' } },
        inputs: [{ path: '/in/x', inline: base64('x') }],
      },
    },
  ]);
});

test('Of several files the names are shown, and --out puts them into a folder', async (t) => {
  const outputs = [
    { name: 'a', data: base64('one') },
    { name: 'deep/b', data: base64('two!') },
  ];
  await using fixture = await setUp(async () => ({ ...ANSWER, outputs, reused: 0 }));
  await using folder = await temporaryFolder();
  const listed = await morpheo(['call', '--model', IDS.model.slice(0, 4)], { env: fixture.env });
  t.is(listed.stdout, 'a  3 B\ndeep/b  4 B\n');
  t.regex(listed.stderr, /Give --out <folder>.*\nanswered in .* by a program that was started for it\n/);
  t.deepEqual(fixture.posted[0]?.body, { model: IDS.model });
  const out = folder.file('out');
  const { code, stdout, stderr } = await morpheo(['call', '--out', out, IMAGE], { env: fixture.env });
  t.is(code, 0, stderr);
  t.is(stdout, '');
  t.regex(stderr, /wrote 2 files, 7 B, into /);
  t.is(await readFile(`${out}/deep/b`, 'utf8'), 'two!');
  const again = await morpheo(['call', '--out', out, IMAGE], { env: fixture.env });
  t.is(again.code, 2);
  t.is(fixture.posted.length, 2);
});

test('A file whose name leads out of the folder is not written', async (t) => {
  await using fixture = await setUp(async () => ({ ...ANSWER, outputs: [{ name: '../b', data: '' }] }));
  await using folder = await temporaryFolder();
  const { code, stderr } = await morpheo(['call', '--out', folder.file('out'), IMAGE], { env: fixture.env });
  t.is(code, 2);
  t.regex(stderr, /The file \.\.\/b /);
});

test('With --json the whole answer is printed', async (t) => {
  await using fixture = await setUp();
  const { stdout } = await morpheo(['call', '--json', IMAGE], { env: fixture.env });
  t.deepEqual(JSON.parse(stdout), ANSWER);
});

test('A call may become an order, which is not waited for', async (t) => {
  await using fixture = await setUp(async () => ({ uuid: IDS.order }));
  const { code, stdout, stderr } = await morpheo(['call', '--async', IMAGE], { env: fixture.env });
  t.is(code, 0, stderr);
  t.is(stdout, `✓ job ${IDS.order}\n`);
  t.regex(stderr, /morpheo logs -f 6c7a2f5e/);
  t.like(fixture.posted[0], { prefer: 'respond-async', body: { image: IMAGE } });
});

test('What its program said, and printed, is shown where it fails', async (t) => {
  const details = { log: 'reading\n', traceback: 'line 3\n', error_type: 'KeyError' };
  await using fixture = await setUp(async () => {
    throw new PlatformError('call_failed', 'There is no class 7.', { details });
  });
  const { code, stdout, stderr } = await morpheo(['call', IMAGE], { env: fixture.env });
  t.is(code, 1);
  t.is(stdout, '');
  t.is(stderr, 'reading\nline 3\nerror: There is no class 7.\n');
});

test('Of a program that has ended, or is slow, the platform itself is not blamed', async (t) => {
  await using fixture = await setUp(async () => {
    throw new PlatformError('unavailable', 'It ended with exit code 3.', { confidential: true });
  });
  const { code, stderr } = await morpheo(['call', IMAGE], { env: fixture.env });
  t.is(code, 3);
  t.regex(stderr, /^error: It ended with exit code 3\.\nSee the programs .*"morpheo runners"/);
  for (const [phase, option] of [
    ['running', '--time'],
    ['starting', '--wait'],
  ] as const) {
    await using slow = await setUp(async () => {
      throw new PlatformError('deadline_passed', 'Too slow.', { details: { phase } });
    });
    const late = await morpheo(['call', IMAGE], { env: slow.env });
    t.is(late.code, 3);
    t.is(late.stderr, `error: Too slow.\nHere that is ${option}.\n`);
  }
  const away = { ...fixture.env, MORPHEO_COMPUTE_URL: 'http://127.0.0.1:1' };
  const nobody = await morpheo(['call', IMAGE], { env: away });
  t.is(nobody.code, 3);
  t.regex(nobody.stderr, /start a platform with "morpheo up"/);
});

test('What is wrong with a call is told before anything is sent', async (t) => {
  await using fixture = await setUp();
  for (const [argv, said] of [
    [[], /Nothing says what is to be called/],
    [['--algo', 'a1b6', '--model', IDS.model.slice(0, 4)], /exactly one of image, algo and model/],
    [[IMAGE, '--input', '/tmp/a=@/dev/null'], /is no file/],
    [[IMAGE, '--protocol', 'soap'], /warm: /],
    [[IMAGE, '--async', '--out', '/nowhere/at/all'], /--async does not wait/],
    [[IMAGE, '--wait', '2h'], /wait_seconds: /],
  ] as const) {
    const { code, stderr } = await morpheo(['call', ...argv], { env: fixture.env });
    t.is(code, 2, stderr);
    t.regex(stderr, said);
  }
  t.deepEqual(fixture.posted, []);
});

test('Runners are listed, and a broken one is started again by the beginning of its key', async (t) => {
  await using fixture = await setUp();
  const none = await morpheo(['runners'], { env: fixture.env });
  t.regex(none.stdout, /Nothing is kept warm/);
  fixture.runners.push(
    runner({ state: 'busy', model: IDS.model }),
    runner({
      key: `abcd${'0'.repeat(60)}`,
      state: 'broken',
      image: IMAGE,
      owner: '',
      calls: 0,
      problem: 'it ended with exit code 4',
    }),
  );
  const { stdout } = await morpheo(['runners'], { env: fixture.env });
  t.regex(stdout, /aaaaaaaa +busy +ann +algo a1b6\w* +f3b0c4d2 +4\.29 GB +– +1 min 05 s +12 +– +desk-1/);
  t.regex(stdout, /abcd0000 +broken +– +registry\.example\/lab\/tool:1 /);
  t.regex(stdout, /\nabcd0000: it ended with exit code 4\n/);
  const retried = await morpheo(['runners', 'retry', 'abcd'], { env: fixture.env });
  t.is(retried.code, 0, retried.stderr);
  t.deepEqual(fixture.retried, [`abcd${'0'.repeat(60)}`]);
  for (const [argv, code] of [
    [['retry'], 2],
    [['retry', 'a'], 2],
    [['retry', 'ffff'], 4],
    [['stop', 'abcd'], 2],
  ] as const)
    t.is((await morpheo(['runners', ...argv], { env: fixture.env })).code, code, argv.join(' '));
});
