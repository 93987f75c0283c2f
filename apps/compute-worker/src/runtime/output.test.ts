import { Readable } from 'node:stream';
import test from 'ava';
import { Output } from './output.ts';

function collector(limitBytes: number, wait: () => Promise<void> = async () => undefined) {
  const got: string[] = [];
  const state = { limits: 0, busy: 0, most: 0 };
  const output = new Output({
    limitBytes,
    onOutput: async ({ stream, bytes }) => {
      state.busy += 1;
      state.most = Math.max(state.most, state.busy);
      await wait();
      got.push(`${stream}:${Buffer.from(bytes)}`);
      state.busy -= 1;
    },
    onLimit: () => {
      state.limits += 1;
    },
  });
  return { output, got, state };
}

test('Two streams are passed on one chunk at a time', async (t) => {
  const { output, got, state } = collector(100, () => new Promise((resolve) => setImmediate(resolve)));
  const chunks = (text: string) => Readable.from([...text].map((char) => Buffer.from(char)));
  await Promise.all([output.pump('stdout', chunks('abc')), output.pump('stderr', chunks('xyz'))]);
  t.is(state.most, 1);
  t.deepEqual(
    got.filter((text) => text.startsWith('stdout')),
    ['stdout:a', 'stdout:b', 'stdout:c'],
  );
  t.is(got.length, 6);
});

test('A chunk is cut at the limit, which is told once', async (t) => {
  const { output, got, state } = collector(5);
  for (const text of ['abc', 'defg', 'h']) await output.print('stdout', Buffer.from(text));
  t.deepEqual(got, ['stdout:abc', 'stdout:de']);
  t.is(state.limits, 1);
});

test('Nothing is passed on after the end', async (t) => {
  const { output, got, state } = collector(5);
  output.close();
  await output.print('stdout', Buffer.from('abcdefgh'));
  t.deepEqual(got, []);
  t.is(state.limits, 0);
});
