import { rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { formatDigestField } from '@morpheo/common';
import test from 'ava';
import fc from 'fast-check';
import { refused, textOf } from '../testing/expect.ts';
import { openTestStorage } from '../testing/open-storage.ts';
import { bodyOf, id, sha256 } from '../testing/requests.ts';
import type { Conditions } from './conditions.ts';

const BYTES = '0123456789';
const ETAG = `"${sha256(BYTES)}"`;

/** A storage with a data set of ten bytes, and what asks for them. */
async function openWithData(bytes = BYTES) {
  const storage = await openTestStorage();
  await storage.api.upload({ params: { type: 'data' }, query: { uuid: id(1) }, body: bodyOf(bytes) });
  const digest = sha256(bytes);
  return {
    ...storage,
    get: (headers: Conditions = {}) => storage.api.getDataBlob({ params: { uuid: id(1) }, headers }),
    head: (headers: Conditions = {}) => storage.api.headDataBlob({ params: { uuid: id(1) }, headers }),
    file: join(storage.folder, 'blobs', digest.slice(0, 2), digest),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  };
}

const DESCRIPTION = {
  'content-type': 'application/octet-stream',
  'content-length': '10',
  'content-disposition': `attachment; filename="${id(1)}"`,
  'x-content-type-options': 'nosniff',
  'accept-ranges': 'bytes',
  'cache-control': 'private, no-cache',
  etag: ETAG,
  'repr-digest': formatDigestField(sha256(BYTES)),
};

test('bytes come with all that describes them', async (t) => {
  await using data = await openWithData();
  const answer = await data.get();
  t.is(answer.status, 200);
  t.deepEqual(answer.headers, DESCRIPTION);
  t.is(await textOf(answer), BYTES);
});

test('a HEAD is a GET without its bytes', async (t) => {
  await using data = await openWithData();
  t.deepEqual(await data.head({ range: 'bytes=1-2' }), {
    status: 200,
    headers: DESCRIPTION,
    body: undefined,
  });
});

test('every range gives the bytes that it names', async (t) => {
  await using data = await openWithData();
  await fc.assert(
    fc.asyncProperty(fc.nat(9), fc.nat(15), async (first, length) => {
      const answer = await data.get({ range: `bytes=${first}-${first + length}` });
      const part = BYTES.slice(first, first + length + 1);
      t.is(answer.status, 206);
      t.is(await textOf(answer), part);
      t.is(answer.headers['content-length'], String(part.length));
      t.is(answer.headers['content-range'], `bytes ${first}-${first + part.length - 1}/10`);
      t.is(answer.headers['repr-digest'], DESCRIPTION['repr-digest']);
    }),
    { numRuns: 40 },
  );
});

test('a range outside is refused with the size', async (t) => {
  await using data = await openWithData();
  const error = await refused(t, data.get({ range: 'bytes=10-' }), 'range_not_satisfiable');
  t.is(error?.details.size, 10);
});

test('several ranges get everything', async (t) => {
  await using data = await openWithData();
  const answer = await data.get({ range: 'bytes=0-1,4-5' });
  t.is(answer.status, 200);
  t.is(await textOf(answer), BYTES);
});

test('a download goes on only while the bytes are the same', async (t) => {
  await using data = await openWithData();
  const same = await data.get({ range: 'bytes=5-', 'if-range': ETAG });
  t.is(same.status, 206);
  t.is(await textOf(same), '56789');
  const other = await data.get({ range: 'bytes=5-', 'if-range': '"other"' });
  t.is(other.status, 200);
  t.is(await textOf(other), BYTES);
});

test('what the caller has is not sent, what it does not expect is refused', async (t) => {
  await using data = await openWithData();
  for (const ask of [data.get, data.head]) {
    const answer = await ask({ 'if-none-match': ETAG });
    t.is(answer.status, 304);
    t.is(answer.headers.etag, ETAG);
    t.is(answer.body, undefined);
    await refused(t, ask({ 'if-match': '"other"' }), 'precondition_failed');
  }
});

test('bytes that are lost or cut short are our fault', async (t) => {
  const text = new RegExp(`^Error retrieving data ${id(1)}: `);
  await using data = await openWithData();
  await truncate(data.file, 5);
  for (const ask of [data.get, data.head]) await refused(t, ask(), 'internal', text);
  await rm(data.file);
  for (const ask of [data.get, data.head]) await refused(t, ask(), 'internal', text);
});

test('a blob of many pieces comes whole and in order', async (t) => {
  const bytes = Array.from({ length: 200_000 }, (_, index) => `${index},`).join('');
  await using data = await openWithData(bytes);
  t.is(await textOf(await data.get()), bytes);
  t.is(await textOf(await data.get({ range: 'bytes=300000-900000' })), bytes.slice(300_000, 900_001));
});
