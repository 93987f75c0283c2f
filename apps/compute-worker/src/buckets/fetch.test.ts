import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startMinio } from '@morpheo/real-parts';
import { deleteObject, putObject } from '@morpheo/service/buckets';
import {
  answerError,
  bucketOptions,
  type FakeS3,
  sharedS3,
  startFakeS3,
  startS3Proxy,
  minioTest as test,
} from '@morpheo/service/buckets/testing';
import ava from 'ava';
import { fetchPrefix } from './fetch.ts';
import { fails, LIMITS, openTestConnections, startListing, textsBelow } from './testing.ts';

const minio = sharedS3();
const open = async () => await openTestConnections(await bucketOptions(await minio()));

type Under = Awaited<ReturnType<typeof openTestConnections>>;

async function fetch({ connections, folder }: Under, prefix: string, more: Partial<FetchMembers> = {}) {
  const { limits = LIMITS, signal = new AbortController().signal } = more;
  const options = { owner: 'ann', limits, signal };
  return await fetchPrefix(connections, { connection: 'lab', prefix }, join(folder, 'into'), options);
}

type FetchMembers = Parameters<typeof fetchPrefix>[3];

const fetched = async ({ folder }: Under) => await textsBelow(join(folder, 'into'));

/** A fake that the connection `lab` leads to. */
async function openFake(fake: FakeS3) {
  return await openTestConnections(fake.options);
}

test('All that lies below a prefix becomes a folder [P4]', async (t) => {
  await using under = await open();
  const large = randomBytes(3_000_000);
  await under.put({
    ...{ 'base/set/a.csv': 'a', 'base/set/b/c.csv': 'c', 'base/set/empty': '', 'base/set/large': large },
    ...{ 'base/set/hollow/': '', 'base/set/': '', 'base/set/ä ß+%20': 'odd', 'base/settle/x': 'no' },
    'set/y': 'no',
  });
  t.deepEqual(await fetch(under, 'set'), { files: 5, bytes: 3_000_005 });
  const { large: _, ...texts } = await fetched(under);
  t.deepEqual(texts, {
    ...{ 'a.csv': 'a', b: '/', 'b/c.csv': 'c', empty: '', hollow: '/', 'ä ß+%20': 'odd' },
  });
  t.true((await readFile(join(under.folder, 'into', 'large'))).equals(large));
});

test('More than the limits is refused before anything comes [P5]', async (t) => {
  await using under = await open();
  await under.put({ 'base/set/a': '12345', 'base/set/b': '12345', 'base/set/c': '12345' });
  const over = (limits: object) => fetch(under, 'set', { limits: { ...LIMITS, ...limits } });
  await fails(
    t,
    over({ files: 2 }),
    'prefix_too_large',
    'bucket:lab/set has more than 2 objects, the limit of the order.',
  );
  await fails(
    t,
    over({ bytes: 14 }),
    'prefix_too_large',
    'bucket:lab/set has more than 14 bytes, the limit of the order.',
  );
  t.deepEqual(await fetched(under), {});
  t.deepEqual(await over({ files: 3, bytes: 15 }), { files: 3, bytes: 15 });
});

ava('A prefix with 100,000 objects is refused by the limit, without listing all of it [P5]', async (t) => {
  const objects = Array.from(
    { length: 100_000 },
    (_, n) => [`base/set/${String(n).padStart(6, '0')}`, 1] as const,
  );
  await using fake = await startListing(objects);
  await using under = await openFake(fake);
  await fails(
    t,
    fetch(under, 'set'),
    'prefix_too_large',
    'bucket:lab/set has more than 1000 objects, the limit of the order.',
  );
});

test('A prefix with nothing below it is told, and one that is no plain path [P6] [P7]', async (t) => {
  await using under = await open();
  await fails(t, fetch(under, 'none/'), 'prefix_missing', 'There is nothing at bucket:lab/none/.');
  await fails(t, fetch(under, 'a/../b'), 'prefix_unusable', /bucket:lab\/a\/\.\.\/b leads out of its folder/);
});

ava(
  'Keys that lead out of the folder, or are no paths, are refused by name, and nothing is written [P7]',
  async (t) => {
    for (const [key, message] of [
      ['base/set/../../x', 'The object bucket:lab/set/../../x leads out of its folder by "..".'],
      ['base/set//x', 'The object bucket:lab/set//x is an absolute path.'],
      ['base/set/a//x', 'The object bucket:lab/set/a//x is not a plain path.'],
      ['base/set/a/', 'The object bucket:lab/set/a/ is not a plain path.'],
      ['base/set/a\u0001', /bucket:lab\/set\/a\\u0001 has a control character/],
      [`base/set/${'x'.repeat(1015)}`, /has a name of more than 255 bytes/],
      ['base/set/fine/x', 'The object bucket:lab/set/fine is a file and a folder at once.'],
    ] as const) {
      await using fake = await startListing([
        ['base/set/fine', 1],
        [key, 1],
      ]);
      await using under = await openFake(fake);
      await fails(t, fetch(under, 'set'), 'prefix_unusable', message);
      t.deepEqual(await fetched(under), {});
    }
  },
);

test('An object that changes, or goes, after it was listed is told by name [P8]', async (t) => {
  const server = await minio();
  const options = await bucketOptions(server);
  for (const change of [putObject, deleteObject] as const) {
    const key = 'base/set/b';
    let under: Under | undefined;
    await using proxy = await startS3Proxy(server.endpoint, async ({ url = '' }) => {
      if (under !== undefined && url.includes(key)) await change(under.calls, key, Buffer.from('other'), {});
    });
    await using direct = await openTestConnections(options);
    await using through = await openTestConnections({ ...options, endpoint: proxy.endpoint });
    await direct.put({ 'base/set/a': 'a', [key]: 'first' });
    under = direct;
    const message = 'The object bucket:lab/set/b changed, or went, while the order read it.';
    await fails(t, fetch(through, 'set'), 'prefix_changed', message);
  }
});

ava('A server that breaks off in the middle is asked again [P9]', async (t) => {
  let gets = 0;
  const listing = '<Contents><Key>base/set/a</Key><Size>10</Size><ETag>"e"</ETag></Contents>';
  await using fake = await startFakeS3(({ url = '' }, response) => {
    if (url.includes('list-type'))
      return void response.end(`<ListBucketResult>${listing}</ListBucketResult>`);
    if (url.includes('manifest.json')) return answerError(response, 404, 'NoSuchKey');
    gets += 1;
    response.writeHead(200, { 'content-length': 10, etag: '"e"' });
    if (gets > 1) return void response.end('0123456789');
    response.write('01234', () => response.destroy());
    response.end = () => response;
  });
  await using under = await openFake(fake);
  t.deepEqual(await fetch(under, 'set'), { files: 1, bytes: 10 });
  t.deepEqual(await fetched(under), { a: '0123456789' });
  t.is(gets, 2);
});

ava('Objects of a server that tells no ETags are compared by their sizes [P8]', async (t) => {
  let body = 'four';
  const listing = '<Contents><Key>base/set/a</Key><Size>4</Size></Contents>';
  await using fake = await startFakeS3(({ url = '' }, response) => {
    if (url.includes('list-type'))
      return void response.end(`<ListBucketResult>${listing}</ListBucketResult>`);
    if (url.includes('manifest.json')) return answerError(response, 404, 'NoSuchKey');
    response.end(body);
  });
  await using under = await openTestConnections(fake.options);
  t.deepEqual(await fetch(under, 'set'), { files: 1, bytes: 4 });
  body = 'of another size';
  const message = 'The object bucket:lab/set/a changed, or went, while the order read it.';
  await fails(t, fetch(under, 'set'), 'prefix_changed', message);
});

test('A bucket that is away is the failure of the platform, and its address is not for the order [P9] [P16]', async (t) => {
  await using server = await startMinio();
  await using under = await openTestConnections(await bucketOptions(server));
  await under.put({ 'base/set/a': 'a' });
  await server.kill();
  await fails(t, fetch(under, 'set'), 'unavailable', /^The bucket connection lab at .* does not answer/);
  await server.start();
  t.deepEqual(await fetch(under, 'set'), { files: 1, bytes: 1 });
});

ava('What the keys may not do fails the order [P16]', async (t) => {
  await using fake = await startFakeS3((_, response) => answerError(response, 403, 'AccessDenied'));
  await using under = await openFake(fake);
  const message = 'The keys of the bucket connection lab do not allow this at bucket:lab/set.';
  await fails(t, fetch(under, 'set'), 'bucket_refused', message);
});

ava('Wrong keys, a bucket that is gone and one without room are not the order’s doing [P16]', async (t) => {
  for (const [status, code, how, message] of [
    [403, 'SignatureDoesNotMatch', 'unavailable', /does not accept the keys/],
    [404, 'NoSuchBucket', 'unavailable', /there is no such bucket/],
    [507, 'QuotaExceeded', 'unavailable', 'The bucket of the connection lab has no room.'],
  ] as const) {
    await using fake = await startFakeS3((_, response) => answerError(response, status, code));
    await using under = await openFake(fake);
    await fails(t, fetch(under, 'set'), how, message);
  }
});

test('A fetch that is cancelled ends at once, whatever the server does [P10]', async (t) => {
  await using server = await startMinio();
  await using under = await openTestConnections(await bucketOptions(server));
  await under.put({ 'base/set/a': randomBytes(32 * 1024 ** 2) });
  const cancel = new AbortController();
  const fetching = fetch(under, 'set', { signal: cancel.signal });
  await server.freeze();
  try {
    cancel.abort(new Error('cancelled'));
    await t.throwsAsync(fetching, { message: 'cancelled' });
  } finally {
    await server.thaw();
  }
});
