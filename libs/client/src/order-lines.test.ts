import { text } from 'node:stream/consumers';
import { type BatchAnswer, type BytesIn, MOST_IN_BATCH } from '@morpheo/common';
import test from 'ava';
import { orderLines } from './order-lines.ts';

/** Takes batches in: each line that is not empty. */
function fakeCompute() {
  const batches: string[][] = [];
  const postOrders = async ({ body }: { body: BytesIn }) => {
    const lines = (await text(body.body)).split('\n').slice(0, -1);
    batches.push(lines);
    const answers = lines.flatMap((line, n): BatchAnswer[] =>
      line === '' ? [] : [{ line: n + 1, status: 202, uuid: line }],
    );
    const told = answers.map((answer) => `${JSON.stringify(answer)}\n`);
    return { status: 200, headers: {}, body: new Blob(told).stream() };
  };
  return { compute: { postOrders }, batches };
}

test('Lines are ordered in batches, and the answers count all of them', async (t) => {
  const { compute, batches } = fakeCompute();
  const lines = Array.from({ length: MOST_IN_BATCH + 2 }, (_, n) => (n === 1 ? '' : `line ${n}`));
  const answers = await Array.fromAsync(orderLines(compute, lines));
  t.deepEqual(
    batches.map(({ length }) => length),
    [MOST_IN_BATCH, 2],
  );
  t.is(answers.length, MOST_IN_BATCH + 1);
  t.like(answers[1], { line: 3, uuid: 'line 2' });
  t.like(answers.at(-1), { line: MOST_IN_BATCH + 2, uuid: `line ${MOST_IN_BATCH + 1}` });
});

test('Nothing is sent where there are no lines', async (t) => {
  const { compute, batches } = fakeCompute();
  t.deepEqual(await Array.fromAsync(orderLines(compute, [])), []);
  t.is(batches.length, 0);
});
