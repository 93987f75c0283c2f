import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import fc from 'fast-check';
import { MOST_TEXT_BYTES, multipartBoundary, readMultipart } from './multipart.ts';

const PART = (name: string, value: string | Buffer, extra = '') =>
  Buffer.concat([
    Buffer.from(`--XX\r\nContent-Disposition: form-data; name="${name}"${extra}\r\n\r\n`),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ]);
const form = (...parts: Buffer[]) => Buffer.concat([...parts, Buffer.from('--XX--\r\n')]);

/** Yields copies of parts of `bytes` that end at `cuts`, so that whoever keeps one for too long is found out. */
async function* pieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (const end of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    const piece = Uint8Array.from(bytes.subarray(start, end));
    yield piece;
    piece.fill(0x2d);
    start = end;
  }
}

/** What a reader makes of a body: its parts, and the message with which it ends, if it does. */
async function read(source: AsyncIterable<Uint8Array>, boundary = 'XX'): Promise<string[]> {
  using reader = readMultipart(source, boundary);
  const seen: string[] = [];
  try {
    for (let part = await reader.next(); part !== null; part = await reader.next()) {
      if (part.kind === 'text') seen.push(`${part.name}=${part.value}${part.tooLong ? '…' : ''}`);
      else {
        const copies: Buffer[] = [];
        for await (const piece of part.body) copies.push(Buffer.from(piece));
        seen.push(`blob=${Buffer.concat(copies).toString('latin1')}`);
      }
    }
  } catch (error) {
    if (!isPlatformError(error, 'invalid_upload')) throw error;
    seen.push(error.message.replace('Error parsing multipart data: ', '! '));
  }
  return seen;
}

const readWhole = (body: Buffer | string) => read(pieces(Buffer.from(body), []));

test('parts come in their order, and the blob as it is', async (t) => {
  const blob = 'a\r\n--X\r\n\r\n--XY--\n\0b';
  const body = form(PART('uuid', '1'), PART('size', '2'), PART('blob', blob, '; filename="x.tar.gz"'));
  t.deepEqual(await readWhole(body), ['uuid=1', 'size=2', `blob=${blob}`]);
});

test('a body split at any bytes gives the same parts', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
  // Bytes that look like the boundary are the hard ones.
  const tricky = fc
    .array(fc.constantFrom('\r', '\n', '-', '--', '\r\n', '\r\n-', '\r\n--', '\r\n--X', 'X', 'a'), {
      maxLength: 40,
    })
    .map((words) => Buffer.from(words.join('').replaceAll('\r\n--XX', '')))
    .filter((blob) => !blob.includes('\r\n--XX'));
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(bytes, tricky),
      fc.string({ maxLength: 50 }),
      fc.array(fc.nat(600), { maxLength: 30 }),
      async (blob, name, cuts) => {
        const body = form(PART('name', name), PART('blob', blob));
        const seen = await read(
          pieces(
            body,
            cuts.filter((cut) => cut < body.length),
          ),
        );
        t.deepEqual(seen, [`name=${name}`, `blob=${blob.toString('latin1')}`]);
      },
    ),
    { numRuns: 500 },
  );
});

test('a body cut anywhere before the end of the blob is refused', async (t) => {
  const body = form(PART('uuid', '1'), PART('size', '2'), PART('blob', 'bytes'));
  const end = body.indexOf('bytes') + 'bytes\r\n--XX'.length;
  for (let cut = 0; cut < end; cut++) {
    const seen = await read(pieces(body.subarray(0, cut), [Math.floor(cut / 2)]));
    t.regex(seen.at(-1) ?? '', /^! .*EOF$/, `cut after ${cut} bytes`);
  }
});

test('any bytes at all end in parts or in a refusal', async (t) => {
  const words = [
    '--XX',
    '\r\n',
    '--',
    '\r',
    '-',
    'Content-Disposition: form-data; name="',
    'blob"',
    'a"',
    '\0',
    ': ',
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...words), { maxLength: 40 }), async (some) => {
      t.true(Array.isArray(await readWhole(`--XX\r\n${some.join('')}`)));
    }),
    { numRuns: 2000 },
  );
});

test('nothing behind the blob is read', async (t) => {
  let asked = 0;
  async function* source() {
    yield Uint8Array.from(form(PART('blob', 'x')));
    asked++;
    throw new Error('asked for more');
  }
  t.deepEqual(await read(source()), ['blob=x']);
  t.is(asked, 0);
  t.deepEqual(await readWhole(form(PART('blob', 'x'), PART('late', 'y'))), ['blob=x']);
});

test('what follows the last part is dropped, and a failure there is none', async (t) => {
  let ended = false;
  async function* source() {
    yield Uint8Array.from(form(PART('blob', 'x')));
    yield Buffer.from('epilogue');
    ended = true;
    throw new Error('cut behind the end');
  }
  using reader = readMultipart(source(), 'XX');
  const blob = await reader.next();
  if (blob?.kind === 'blob') await Array.fromAsync(blob.body);
  await t.notThrowsAsync(reader.finish());
  t.true(ended);
});

test('a text that is too long is cut, and its length is counted in bytes', async (t) => {
  const exact = `${'é'.repeat(127)}e`;
  t.deepEqual(await readWhole(form(PART('name', exact))), [`name=${exact}`]);
  const long = 'e'.repeat(MOST_TEXT_BYTES + 1);
  t.deepEqual((await readWhole(form(PART('name', long))))[0], `name=${'e'.repeat(MOST_TEXT_BYTES)}…`);
});

test('a part without a name has an empty one', async (t) => {
  t.deepEqual(await readWhole(form(Buffer.from('--XX\r\n\r\na\r\n'))), ['=a']);
  t.deepEqual(await readWhole(form(Buffer.from('--XX\r\nContent-Disposition: form-data\r\n\r\na\r\n'))), [
    '=a',
  ]);
  t.deepEqual(await readWhole(form(Buffer.from('--XX\r\nContent-Disposition: x; name="n"\r\n\r\na\r\n'))), [
    '=a',
  ]);
});

test('a name is found however its header is written', async (t) => {
  for (const header of [
    'content-disposition:form-data;name=size',
    'Content-Type: text/plain\r\nCONTENT-DISPOSITION: form-data; filename="; name=x"; name="size"',
    'Content-Disposition: form-data;\r\n name="si\\ze"',
  ]) {
    t.deepEqual(await readWhole(form(Buffer.from(`--XX\r\n${header}\r\n\r\n1\r\n`))), ['size=1'], header);
  }
});

test('a preamble and padding behind boundaries are passed over', async (t) => {
  const body = `hello\r\nthere\r\n${form(PART('a', '1')).toString().replaceAll('--XX\r\n', '--XX \t\r\n')}`;
  t.deepEqual(await readWhole(body), ['a=1']);
});

test('bodies without end are given up', async (t) => {
  async function* endless(start: string) {
    yield Buffer.from(start);
    for (;;) yield Buffer.alloc(1000, 'a');
  }
  t.regex((await read(endless(''))).at(-1) ?? '', /before the first part is longer/);
  t.regex((await read(endless('--XX\r\nContent-Disposition: '))).at(-1) ?? '', /header of a part is longer/);
  const many = Array.from({ length: 200 }, () => PART('a', '1'));
  t.regex((await readWhole(form(...many))).at(-1) ?? '', /more than 100 parts/);
});

test('a source that fails, fails as it is', async (t) => {
  const cut = new Error('the line was cut');
  async function* source() {
    yield Buffer.from('--XX\r\n');
    throw cut;
  }
  t.is(await t.throwsAsync(read(source())), cut);
});

test('disposing lets go of a source that has stalled', async (t) => {
  let stopped = false;
  const source = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise<never>(() => {}),
      return: async () => {
        stopped = true;
        return { done: true as const, value: undefined };
      },
    }),
  };
  const reader = readMultipart(source, 'XX');
  void reader.next();
  reader[Symbol.dispose]();
  t.true(stopped);
});

test('a piece is not read any more once the next one is asked for', async (t) => {
  const blob = 'a\r\n--Xb\r'.repeat(50_000);
  const body = form(PART('size', '1'), PART('blob', blob));
  const whole = Buffer.alloc(70_000);
  async function* source() {
    for (let at = 0; at < body.length; at += 70_000) {
      const length = body.copy(whole, 0, at);
      yield whole.subarray(0, length);
      whole.fill(0x2d);
    }
  }
  using reader = readMultipart(source(), 'XX');
  await reader.next();
  const part = await reader.next();
  if (part?.kind !== 'blob') return t.fail('there is a blob');
  const came: Buffer[] = [];
  for await (const piece of part.body) came.push(Buffer.from(piece));
  t.is(Buffer.concat(came).toString(), blob);
});

test('the boundary is that of the content type', (t) => {
  t.is(multipartBoundary('multipart/form-data; boundary=abc'), 'abc');
  t.is(multipartBoundary('Multipart/Mixed; charset=x; boundary="a b:c"'), 'a b:c');
  t.is(multipartBoundary('application/octet-stream'), null);
  t.throws(() => multipartBoundary('multipart/form-data'), { message: /boundary is empty/ });
});
