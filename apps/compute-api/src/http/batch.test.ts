import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type BatchAnswer, MOST_IN_BATCH } from '@morpheo/common';
import { chunksOf } from '@morpheo/service/http';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aJob, aLearnuplet, aPreduplet } from '../testing/orders.ts';

const ada = { principal: { name: 'ada', roles: ['orchestrator' as const] } };

const lineOf = (kind: 'learn' | 'predict' | 'job', uplet: object) => JSON.stringify({ kind, uplet });

/** Sends a batch in pieces of so many bytes; returns what was answered to its lines. */
async function post(
  t: ExecutionContext,
  { unchecked }: TestCompute,
  text: string | Uint8Array,
  piece = 1000,
): Promise<BatchAnswer[]> {
  const bytes = Buffer.from(text);
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
  }
  const { status, body } = await unchecked.postOrders({ body: { body: pieces() } }, ada);
  t.is(status, 200);
  const answer = await new Response(body).text();
  return answer
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as BatchAnswer);
}

testOnEngines('Each line of a batch is taken in or refused, and answered in order', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const there = aLearnuplet();
  await api.learn({ body: there }, ada);
  const [learn, predict, job] = [aLearnuplet(), aPreduplet(), aJob({ labels: { run: '7' } })];
  const answers = await post(
    t,
    compute,
    [
      ...[lineOf('learn', learn), '', 'no JSON', lineOf('predict', predict), lineOf('job', job)],
      ...[lineOf('learn', there), lineOf('learn', { ...there, rank: 1 }), '{"kind":"dance","uplet":{}}'],
      ...[lineOf('learn', aLearnuplet({ train_data: [] })), lineOf('predict', { uuid: 7 })],
    ].join('\n'),
  );
  t.deepEqual(
    answers.map(({ line, status, code }) => [line, status, code]),
    [
      ...[
        [1, 202, undefined],
        [3, 400, 'invalid_json'],
        [4, 202, undefined],
        [5, 202, undefined],
      ],
      ...[
        [6, 202, undefined],
        [7, 409, 'conflict'],
        [8, 400, 'invalid_request'],
      ],
      ...[
        [9, 400, 'invalid_order'],
        [10, 400, 'invalid_request'],
      ],
    ],
  );
  t.is(answers[0]?.uuid, learn.uuid);
  t.regex(answers[3]?.output ?? '', /^[0-9a-f-]{36}$/);
  t.regex(answers[7]?.detail ?? '', /^Invalid learn-uplet: train_data field is empty/);
  t.is((await api.listOrders({ query: {} })).total, 4);
  t.like(await api.getOrder({ params: { id: predict.uuid } }), { owner: 'ada' });
});

testOnEngines(
  'Lines of a batch whose orders are there leave the room that is left to the others',
  async (t, open) => {
    await using compute = await open({ openOrders: 3 });
    const lines = Array.from({ length: 5 }, () => lineOf('learn', aLearnuplet()));
    await post(t, compute, lines.slice(0, 2).join('\n'));
    const answers = await post(t, compute, lines.join('\n'));
    t.deepEqual(
      answers.map(({ status }) => status),
      [202, 202, 202, 429, 429],
    );
    t.is((await compute.api.listOrders({ query: {} })).total, 3);
  },
);

testOnEngines('A line may start from the model that an earlier one of the batch makes', async (t, open) => {
  await using compute = await open();
  const first = aLearnuplet();
  const second = aLearnuplet({ rank: 1, algo: first.algo, model_start: first.model_end });
  const last = aPreduplet({ model: second.model_end });
  const lines = [lineOf('learn', first), lineOf('learn', second), lineOf('predict', last)];
  await post(t, compute, lines.join('\n'));
  const rows = await compute.database.read.selectFrom('orders').select(['id', 'waits_for']).execute();
  const waits = new Map(rows.map(({ id, waits_for }) => [id, waits_for]));
  t.is(waits.get(first.uuid), null);
  t.is(waits.get(second.uuid), first.uuid);
  t.is(waits.get(last.uuid), second.uuid);
});

testOnEngines(
  'The same batch again changes nothing, and of one id the first line counts',
  async (t, open) => {
    await using compute = await open();
    const body = aLearnuplet();
    const lines = [lineOf('learn', body), lineOf('learn', { ...body, rank: 1 }), lineOf('learn', body)];
    for (let n = 0; n < 2; n++) {
      const answers = await post(t, compute, lines.join('\n'));
      t.deepEqual(
        answers.map(({ status }) => status),
        [202, 409, 202],
      );
    }
    t.is((await compute.api.listOrders({ query: {} })).total, 1);
  },
);

testOnEngines('A batch takes as many open orders as its owner may have', async (t, open) => {
  await using compute = await open({ openOrders: 3 });
  const lines = Array.from({ length: 5 }, () => lineOf('learn', aLearnuplet()));
  const answers = await post(t, compute, lines.join('\n'));
  t.deepEqual(
    answers.map(({ status, code }) => code ?? status),
    [202, 202, 202, 'rate_limited', 'rate_limited'],
  );
});

testOnEngines('What is behind the last line that a batch may have is not read', async (t, open) => {
  await using compute = await open();
  const lines = [...Array.from({ length: MOST_IN_BATCH }, () => 'x'), lineOf('learn', aLearnuplet())];
  const answers = await post(t, compute, lines.join('\n'));
  t.is(answers.length, MOST_IN_BATCH + 1);
  t.like(answers.at(-1), { line: MOST_IN_BATCH + 1, status: 413, code: 'too_large' });
  t.is((await compute.api.listOrders({ query: {} })).total, 0);
});

test('Lines are cut in the same places, however their bytes come', async (t) => {
  const text = `one\n\n${'long'.repeat(10)}\nzwölf\r\n\xff\nlast ${randomUUID()}`;
  const bytes = Buffer.concat(
    text
      .split('\xff')
      .flatMap((part, n) => (n === 0 ? [Buffer.from(part)] : [Buffer.from([0xff]), Buffer.from(part)])),
  );
  const whole = await cut(bytes, bytes.length);
  t.deepEqual(
    whole.map(({ line, text }) => [line, typeof text === 'string' ? text.trim() : text.code]),
    [
      [1, 'one'],
      [3, 'too_large'],
      [4, 'zwölf'],
      [5, 'invalid_json'],
      [6, 'too_large'],
    ],
  );
  for (const piece of [1, 2, 7]) {
    const pieces = await cut(bytes, piece);
    t.deepEqual(
      pieces.map(({ line, text }) => [line, String(text)]),
      whole.map(({ line, text }) => [line, String(text)]),
    );
  }
});

// Alone, as long as it measures.
test.serial('A line that comes byte by byte takes little more memory than it has bytes', async (t) => {
  const size = 100_000;
  let grown = 0;
  async function* bytes() {
    const before = heapUsed();
    for (let n = 0; n < size; n++) yield Buffer.from('x');
    grown = heapUsed() - before;
  }
  const [[line] = []] = await Array.fromAsync(chunksOf(bytes(), { most: 1, bytes: 1, lineBytes: size }));
  t.is(line?.text.toString().length, size);
  t.true(grown < 20 * size, `${grown} bytes of heap`);
});

/** What is in use, without what only waits to be collected. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}

async function cut(bytes: Uint8Array, piece: number) {
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += piece) {
      const one = Buffer.from(bytes.subarray(at, at + piece));
      yield one;
      // Its memory is used again.
      one.fill(0);
    }
  }
  const chunks = await Array.fromAsync(chunksOf(pieces(), { most: 2, bytes: 1000, lineBytes: 39 }));
  return chunks.flat();
}
