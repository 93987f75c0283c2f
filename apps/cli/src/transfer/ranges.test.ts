import { buffer } from 'node:stream/consumers';
import { type BytesOut, isPlatformError, streamOf } from '@morpheo/common';
import test from 'ava';
import { type OpenRange, readRanges } from './ranges.ts';

const SIZE = 30_000_001;
const BYTES = Buffer.from(Uint32Array.from({ length: SIZE / 4 + 1 }, (_, index) => index).buffer).subarray(
  0,
  SIZE,
);

/** Answers with parts of {@link BYTES}, each cut by `change`, and keeps account. */
function server(change: (part: Buffer) => Buffer = (part) => part) {
  const seen = { starts: [] as number[], open: 0, most: 0 };
  const open: OpenRange = async (start, end) => {
    seen.starts.push(start);
    seen.most = Math.max(seen.most, ++seen.open);
    const body = streamOf(pieces(change(BYTES.subarray(start, end + 1)), () => seen.open--));
    return { status: 206, headers: {}, body };
  };
  return { seen, open };
}

async function* pieces(part: Buffer, done: () => void): AsyncGenerator<Uint8Array> {
  try {
    for (let at = 0; at < part.length; at += 1_000_000) yield part.subarray(at, at + 1_000_000);
  } finally {
    done();
  }
}

const never = (): never => {
  throw new Error('all answers are parts');
};
const signal = new AbortController().signal;

test('parts come in their order, a few of them at once', async (t) => {
  const { open, seen } = server();
  const came = await buffer(readRanges(open, 5, SIZE, signal, never));
  t.true(came.equals(BYTES.subarray(5)));
  t.is(seen.starts.length, 8);
  t.is(seen.most, 4);
  t.is(seen.open, 0);
});

test('a server that knows no ranges is read from its one answer', async (t) => {
  const answer: BytesOut = { status: 200, headers: {}, body: streamOf(pieces(BYTES, () => {})) };
  let calls = 0;
  const open = async () => {
    calls += 1;
    return answer;
  };
  const otherwise = ({ body }: BytesOut) => body ?? never();
  t.true((await buffer(readRanges(open, 0, SIZE, signal, otherwise))).equals(BYTES));
  t.is(calls, 1);
});

test('a part that ends early ends the download, and what came before it is right', async (t) => {
  const { open } = server((part) => (part.readUInt32LE(0) >= 1_048_576 ? part.subarray(0, 10) : part));
  const came: Uint8Array[] = [];
  const error = await t.throwsAsync(async () => {
    for await (const chunk of readRanges(open, 0, SIZE, signal, never)) came.push(chunk);
  });
  t.true(isPlatformError(error, 'unavailable'));
  const whole = Buffer.concat(came);
  t.is(whole.length, 4 * 1024 * 1024);
  t.true(whole.equals(BYTES.subarray(0, whole.length)));
});

test('who stops reading stops what is on its way', async (t) => {
  const signals: AbortSignal[] = [];
  const { open } = server();
  const noting: OpenRange = async (start, end, one) => {
    signals.push(one);
    return await open(start, end, one);
  };
  for await (const _ of readRanges(noting, 0, SIZE, signal, never)) break;
  t.is(signals.length, 4);
  t.true(signals.every((one) => one.aborted));
});
