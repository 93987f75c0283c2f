import { mkdtempDisposable, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { isPlatformError } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import test from 'ava';
import fc from 'fast-check';
import { Payload } from '../jobs/payload.ts';
import { withoutPayload } from './json-body.ts';

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  // As a connection does it: a piece is good until the next one is asked for.
  const memory = new Uint8Array(size);
  for (let at = 0; at < bytes.byteLength; at += size) {
    const piece = bytes.subarray(at, at + size);
    memory.set(piece);
    yield memory.subarray(0, piece.byteLength);
  }
}

/** What is read of a body that comes in pieces of a size: the rest of it, and the payload. */
async function read(body: string | Uint8Array, size: number) {
  await using payload = new Payload('/nowhere');
  const rest = await withoutPayload(cut(Buffer.from(body), size), payload);
  return { rest: JSON.parse(rest) as unknown, payload: String(await payload.whole()) };
}

const OBJECTS = fc.dictionary(
  fc.oneof(fc.constantFrom('payload', 'pay', 'a', '"', 'payload"', '\\'), fc.string()),
  fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
);

test('A body that is cut anywhere is read as one that is whole', async (t) => {
  const property = fc.asyncProperty(
    OBJECTS,
    fc.boolean(),
    fc.integer({ min: 1, max: 30 }),
    async (given, ascii, size) => {
      const text = JSON.stringify(given, null, ascii ? 1 : 0);
      const escaped = (sign: string) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: all that is not ASCII
      const body = ascii ? text.replace(/[^\x00-\x7f]/g, escaped) : text;
      const whole = JSON.parse(body) as Record<string, unknown>;
      const { payload } = whole;
      const isText = Object.hasOwn(whole, 'payload') && typeof payload === 'string';
      const found = await read(body, size);
      t.deepEqual(found.rest, isText ? { ...whole, payload: '' } : whole);
      // Halves of characters have no bytes.
      t.is(found.payload, isText ? Buffer.from(payload).toString() : '');
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

test('An escape that is none is found at once, however much follows', async (t) => {
  await using payload = new Payload('/nowhere');
  await payload.add(Buffer.from('\\uZZ'));
  await payload.add(Buffer.alloc(100, 'x'));
  const error = await t.throwsAsync(
    payload
      .bytes()
      .next()
      .then(async () => await payload.whole()),
  );
  t.true(isPlatformError(error, 'invalid_request'));
});

test('A payload that is said twice is the second', async (t) => {
  t.deepEqual(await read('{"payload":"one","payload":"two"}', 3), { rest: { payload: '' }, payload: 'two' });
});

test('What is no text of JSON, or no UTF-8, is refused', async (t) => {
  const bodies = [
    ...['\\x', '\\u12', 'a\nb'].map((text) => Buffer.from(`{"payload":"${text}"}`)),
    Buffer.from([...Buffer.from('{"payload":"'), 0xff, 0x22, 0x7d]),
  ];
  for (const body of bodies) {
    const error = await t.throwsAsync(read(body, 1000));
    t.true(isPlatformError(error, 'invalid_request'), String(body));
  }
});

test('A long payload waits in a file, which goes', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'payload-'));
  const long = 'täglich "🐑" \\ '.repeat(200_000);
  {
    await using payload = new Payload(folder.path);
    const body = Buffer.from(JSON.stringify({ job_id: 'abc', payload: long }));
    t.is(await withoutPayload(cut(body, 65_521), payload), '{"job_id":"abc","payload":""}');
    t.is(await payload.whole(), undefined);
    t.is((await readdir(folder.path)).length, 1);
    t.true(Buffer.from(long).equals(await buffer(payload.bytes())));
    t.true(Buffer.from(long).equals(await buffer(payload.bytes())));
  }
  t.deepEqual(await readdir(folder.path), []);
});

test('What is long beside a payload is refused', async (t) => {
  await using payload = new Payload('/nowhere');
  const body = Buffer.from(JSON.stringify({ job_id: 'x'.repeat(2 * 1024 ** 2) }));
  const error = await t.throwsAsync(withoutPayload(cut(body, 65_536), payload));
  t.true(isPlatformError(error, 'too_large'));
});
