import test from 'ava';
import { untilAborted } from './until-aborted.ts';

async function* counting(told: { ended: boolean }): AsyncGenerator<number> {
  try {
    for (let count = 0; ; count++) yield count;
  } finally {
    told.ended = true;
  }
}

test('what the source yields is handed on', async (t) => {
  async function* source() {
    yield* [1, 2, 3];
  }
  t.deepEqual(await Array.fromAsync(untilAborted(source())), [1, 2, 3]);
  t.deepEqual(await Array.fromAsync(untilAborted(source(), new AbortController().signal)), [1, 2, 3]);
});

test('a source is told to stop when its reader stops', async (t) => {
  const told = { ended: false };
  for await (const count of untilAborted(counting(told), new AbortController().signal))
    if (count === 3) break;
  t.true(told.ended);
});

test('an abort ends the wait for a source that has stalled', async (t) => {
  const abort = new AbortController();
  async function* stalled() {
    yield 1;
    abort.abort(new Error('given up'));
    await new Promise(() => {});
  }
  await t.throwsAsync(Array.fromAsync(untilAborted(stalled(), abort.signal)), { message: 'given up' });
  await t.throwsAsync(Array.fromAsync(untilAborted(stalled(), AbortSignal.abort(new Error('before')))), {
    message: 'before',
  });
});
