import { type LogChunk, type ServerEvent, streamOf } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { type FakePlatform, fakePlatform } from '../testing/platform.ts';
import { IDS, sampleOrder } from '../testing/samples.ts';

const at = '2025-11-22T15:51:00.000Z';
const chunks: LogChunk[] = [
  { at, attempt: 1, step: 'train', stream: 'stdout', text: 'epoch 1\n' },
  { at, attempt: 2, step: 'train', stream: 'stderr', text: 'epoch \u001b[2J2 – ü\n' },
];

async function setUp(asked: unknown[] = []): Promise<FakePlatform> {
  return await fakePlatform({
    compute: {
      getOrder: async () => sampleOrder(),
      orderLog: async ({ query }) => {
        asked.push({ ...query });
        const bytes = new TextEncoder().encode(chunks.map((chunk) => chunk.text).join(''));
        // One byte at a time: letters of two bytes must survive that.
        const body = streamOf(
          (async function* () {
            for (const byte of bytes) yield Uint8Array.of(byte);
          })(),
        );
        return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
      },
      orderLogEvents: async () => events(),
    },
  });
}

async function* events(): AsyncGenerator<ServerEvent<LogChunk>> {
  for (const [index, data] of chunks.entries()) yield { id: String(index + 1), event: 'log', data };
}

test('A log is printed as it is into a file or a pipe', async (t) => {
  const asked: unknown[] = [];
  await using platform = await setUp(asked);
  const { code, stdout, stderr } = await morpheo(['logs', IDS.order, '--attempt', '2'], {
    env: platform.env,
  });
  t.is(code, 0);
  t.is(stdout, 'epoch 1\nepoch \u001b[2J2 – ü\n');
  t.is(stderr, '');
  t.deepEqual(asked, [{ attempt: 2 }]);
});

test('A log cannot steer the terminal on which it is shown', async (t) => {
  await using platform = await setUp();
  for (const argv of [
    ['logs', IDS.order],
    ['logs', IDS.order, '-f'],
  ]) {
    const { stdout } = await morpheo(argv, { env: platform.env, isTTY: true });
    t.is(stdout, 'epoch 1\nepoch \uFFFD[2J2 – ü\n');
  }
});

test('The platform’s lines begin on lines of their own, and a progress bar on a pipe is its last piece', async (t) => {
  const said: readonly LogChunk[] = [
    { at, attempt: 1, step: 'train', stream: 'stderr', text: '\r 1%\r 2%' },
    { at, attempt: 1, step: 'train', stream: 'stdout', text: ' \u001b[31mflushed at exit\u001b[0m' },
    { at, attempt: 1, step: 'results', stream: 'platform', text: 'results: a model\n' },
  ];
  async function* saidEvents(): AsyncGenerator<ServerEvent<LogChunk>> {
    for (const [index, data] of said.entries()) yield { id: String(index + 1), event: 'log', data };
  }
  const compute = { getOrder: async () => sampleOrder(), orderLogEvents: async () => saidEvents() };
  await using platform = await fakePlatform({ compute });
  const { stdout } = await morpheo(['logs', IDS.order, '-f'], { env: platform.env });
  t.is(stdout, ' 2% flushed at exit\nresults: a model\n');
});

test('A log is followed to the end of its order', async (t) => {
  await using platform = await setUp();
  const all = await morpheo(['logs', IDS.order, '-f', '--json'], { env: platform.env });
  t.deepEqual(
    all.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LogChunk),
    chunks,
  );
  const one = await morpheo(['logs', IDS.order, '-f', '--attempt', '1'], { env: platform.env });
  t.is(one.stdout, 'epoch 1\n');
});

test('A log as JSON is its text in pieces', async (t) => {
  await using platform = await setUp();
  const { stdout } = await morpheo(['logs', IDS.order, '--json'], { env: platform.env });
  const pieces = stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text: string }).text);
  t.is(pieces.join(''), chunks.map((chunk) => chunk.text).join(''));
});
