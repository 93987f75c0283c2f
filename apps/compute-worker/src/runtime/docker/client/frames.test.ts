import test from 'ava';
import fc from 'fast-check';
import type { OutputChunk } from '../../index.ts';
import { readFrames } from './frames.ts';

function frame({ stream, bytes }: OutputChunk): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream === 'stdout' ? 1 : 2;
  header.writeUInt32BE(bytes.byteLength, 4);
  return Buffer.concat([header, bytes]);
}

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

async function joined(source: AsyncIterable<unknown>): Promise<[OutputChunk['stream'], string][]> {
  const runs: [OutputChunk['stream'], string][] = [];
  for await (const { stream, bytes } of readFrames(source)) {
    const last = runs.at(-1);
    if (last?.[0] === stream) last[1] += Buffer.from(bytes).toString('hex');
    else runs.push([stream, Buffer.from(bytes).toString('hex')]);
  }
  return runs;
}

const chunk = fc.record({
  stream: fc.constantFrom<OutputChunk['stream'][]>('stdout', 'stderr'),
  bytes: fc.uint8Array({ maxLength: 40 }),
});

test('Frames come whole and in order however they are cut on their way', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(chunk), fc.array(fc.nat({ max: 30 })), async (chunks, sizes) => {
      const bytes = Buffer.concat(chunks.map(frame));
      const whole = await joined(inPieces(bytes, []));
      t.deepEqual(await joined(inPieces(bytes, sizes)), whole);
      t.is(
        whole.map(([, text]) => text).join(''),
        Buffer.concat(chunks.map((one) => one.bytes)).toString('hex'),
      );
    }),
  );
});

test('A frame of four gigabytes is passed on as it comes', async (t) => {
  const header = Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
  const frames = readFrames(inPieces(Buffer.concat([header, Buffer.from('begin')]), []));
  const first = await frames.next();
  t.is(Buffer.from(first.value?.bytes ?? []).toString(), 'begin');
  await frames.return(undefined);
});

test('What are no frames is refused', async (t) => {
  for (const bytes of [
    Buffer.from('plain text of a terminal'),
    Buffer.from([1, 0, 0]),
    frame({ stream: 'stdout', bytes: Buffer.from('abc') }).subarray(0, 9),
  ]) {
    await t.throwsAsync(joined(inPieces(bytes, [])), { code: 'unavailable' });
  }
});

test('No more is read than was asked for', async (t) => {
  let read = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      read += 1;
      yield frame({ stream: 'stdout', bytes: Buffer.alloc(1000) });
    }
  }
  const frames = readFrames(endless());
  await frames.next();
  await frames.next();
  t.is(read, 2);
  await frames.return(undefined);
});
