import { createHash, randomBytes } from 'node:crypto';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { putObject, readStart } from '@morpheo/service/buckets';
import { bucketOptions, sharedS3, startS3Proxy, minioTest as test } from '@morpheo/service/buckets/testing';
import { fetchPrefix } from './fetch.ts';
import { readManifest } from './manifest.ts';
import { pushPrefix, requireFreePlace } from './push.ts';
import { fails, LIMITS, ORDER, openTestConnections, textsBelow } from './testing.ts';

const minio = sharedS3();
const open = async () => await openTestConnections(await bucketOptions(await minio()));
const OTHER = '7c1d8a52-6a3a-4c1e-9d53-0a6f0f1c2b7e';
const OUT = { connection: 'lab', prefix: 'out' };

type Under = Awaited<ReturnType<typeof openTestConnections>>;

/** An attempt of an order, of which nobody has cancelled anything. */
function by(attempt = 1, order = ORDER) {
  return { owner: 'ann', order, attempt, signal: new AbortController().signal };
}

async function push({ connections }: Under, folder: string, attempt = by(), more: object = {}) {
  const how = { outcome: 'done', limits: LIMITS, at: '/outputs', ...more } as const;
  return await pushPrefix(connections, folder, OUT, { ...attempt, ...how });
}

async function fetched({ connections, folder }: Under, name: string) {
  const into = join(folder, name);
  await fetchPrefix(connections, OUT, into, { ...by(), limits: LIMITS });
  return await textsBelow(into);
}

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('A folder is pushed under order and attempt, with a manifest of all of it [P11] [P12]', async (t) => {
  await using under = await open();
  const large = randomBytes(17_000_000);
  const folder = await under.files('made', { 'a.csv': 'a', 'b/manifest.json': '{}', large });
  const { manifest, sha256: digest, size } = await push(under, folder, by(2), { outcome: 'failed' });
  const data = `${ORDER}/attempt-2/`;
  t.deepEqual(manifest, {
    ...{ kind: 'morpheo-outputs', version: 1, order: ORDER, attempt: 2, outcome: 'failed', data },
    files: [
      { name: 'a.csv', size: 1, sha256: sha256('a') },
      { name: 'b/manifest.json', size: 2, sha256: sha256('{}') },
      { name: 'large', size: large.byteLength, sha256: sha256(large) },
    ],
  });
  t.deepEqual(await under.keys(), [
    ...['a.csv', 'b/manifest.json', 'large'].map((name) => `base/out/${data}${name}`),
    'base/out/manifest.json',
  ]);
  using place = await under.connections.open(OUT, { owner: 'ann', use: 'read' });
  t.like(await readManifest(place), manifest);
  const stored = await readStart(under.calls, 'base/out/manifest.json', 1e6);
  t.deepEqual([sha256(stored?.bytes ?? ''), stored?.bytes.byteLength], [digest, size]);
  const { large: _, ...texts } = await fetched(under, 'again');
  t.deepEqual(texts, { 'a.csv': 'a', b: '/', 'b/manifest.json': '{}' });
});

test('A folder without files is whole as well [P11] [P12]', async (t) => {
  await using under = await open();
  const folder = await under.files('made', { 'with/a': 'a' });
  await mkdir(join(folder, 'without'));
  const { manifest } = await push(under, join(folder, 'without'));
  t.deepEqual(manifest.files, []);
  t.deepEqual(await fetched(under, 'again'), {});
});

test('The manifest comes last: outputs without one are taken for nothing [P11] [P13]', async (t) => {
  const server = await minio();
  const options = await bucketOptions(server);
  const cancel = new AbortController();
  await using proxy = await startS3Proxy(server.endpoint, ({ method, url = '' }, response) => {
    if (method !== 'PUT' || !url.includes('manifest.json')) return;
    cancel.abort(new Error('the worker is lost'));
    response.destroy();
  });
  await using under = await openTestConnections(options);
  await using dying = await openTestConnections({ ...options, endpoint: proxy.endpoint });
  const folder = await under.files('made', { a: 'half' });
  await t.throwsAsync(push(dying, folder, { ...by(), signal: cancel.signal }), {
    message: 'the worker is lost',
  });
  t.deepEqual(await under.keys(), [`base/out/${ORDER}/attempt-1/a`]);
  const message =
    'The outputs at bucket:lab/out are not whole: the order that writes them has not ended, or was lost.';
  await fails(t, fetched(under, 'half'), 'prefix_not_whole', message);
  t.deepEqual(await textsBelow(join(under.folder, 'half')), {});
  await push(under, await under.files('next', { a: 'whole' }), by(2));
  t.deepEqual(await fetched(under, 'whole'), { a: 'whole' });
  t.deepEqual(await under.keys(), [`base/out/${ORDER}/attempt-2/a`, 'base/out/manifest.json']);
});

test('The manifest of a later attempt stays, and so does that of another order [P14]', async (t) => {
  await using under = await open();
  const folder = await under.files('made', { a: 'a' });
  await push(under, folder, by(2));
  await fails(
    t,
    push(under, folder, by(1)),
    'stale_attempt',
    'The attempt 2 has written bucket:lab/out/manifest.json already.',
  );
  const taken = `There is a bucket:lab/out/manifest.json already, of the order ${ORDER}.`;
  await fails(t, push(under, folder, by(1, OTHER)), 'prefix_taken', taken);
  await under.put({ 'base/out/manifest.json': '{"name": "of somebody"}' });
  const foreign = 'There is a bucket:lab/out/manifest.json already, of no order.';
  await fails(t, push(under, folder, by(3)), 'prefix_taken', foreign);
});

test('Of two who write their manifests at once, the later attempt is the one that stays [P14]', async (t) => {
  const server = await minio();
  const options = await bucketOptions(server);
  await using under = await openTestConnections(options);
  const folder = await under.files('made', { a: 'a' });
  let meets: Promise<unknown> | undefined;
  // Between the look of the first and its write, the second has done both.
  await using proxy = await startS3Proxy(server.endpoint, async ({ method, url = '' }) => {
    if (method !== 'PUT' || !url.includes('manifest.json')) return;
    meets ??= push(under, folder, by(2));
    await meets;
  });
  await using slow = await openTestConnections({ ...options, endpoint: proxy.endpoint });
  await fails(t, push(slow, folder, by(1)), 'stale_attempt', /attempt 2 has written/);
  using place = await under.connections.open(OUT, { owner: 'ann', use: 'read' });
  t.like(await readManifest(place), { attempt: 2 });
});

test('A file of the outputs that was changed in the bucket is not taken for what the manifest tells [P12]', async (t) => {
  await using under = await open();
  await push(under, await under.files('made', { a: 'good', b: 'b' }));
  await under.put({ [`base/out/${ORDER}/attempt-1/a`]: 'evil' });
  const message = 'The object bucket:lab/out/a changed, or went, while the order read it.';
  await fails(t, fetched(under, 'changed'), 'prefix_changed', message);
  const [key = ''] = (await under.keys()).filter((name) => name.endsWith('manifest.json'));
  await putObject(under.calls, key, Buffer.from('{"kind": "morpheo-outputs", "version": 2}'));
  await fails(t, fetched(under, 'newer'), 'prefix_unusable', /is of another version, or was changed/);
});

test('Outputs go neither into an input nor around one, nor to a place of others [P15]', async (t) => {
  const options = await bucketOptions(await minio());
  await using under = await openTestConnections(options, {
    ...{ same: { read: '*' }, readable: { read: '*', prefix: 'elsewhere' } },
  });
  const { connections } = under;
  const input = (connection: string, prefix: string) => [{ connection, prefix }];
  for (const inputs of [
    input('lab', 'out'),
    input('lab', 'out/below/'),
    input('lab', ''),
    input('same', 'base/out'),
  ])
    await fails(
      t,
      requireFreePlace(connections, OUT, inputs, by()),
      'prefix_taken',
      /^The outputs would go to bucket:lab\/out, which holds the input/,
    );
  await t.notThrowsAsync(
    requireFreePlace(connections, OUT, [...input('lab', 'outer'), ...input('readable', 'out')], by()),
  );
  const unwritable = { connection: 'readable', prefix: 'x' };
  await fails(t, requireFreePlace(connections, unwritable, [], by()), 'bucket_refused', /may not write to/);
  await push(under, await under.files('made', { a: 'a' }), by(1, OTHER));
  await fails(t, requireFreePlace(connections, OUT, [], by()), 'prefix_taken', /of the order 7c1d/);
});

test('Outputs that are no files, are too much, or have too long keys are refused [P11]', async (t) => {
  await using under = await open();
  const folder = await under.files('made', { a: 'a'.repeat(100), b: 'b' });
  await fails(
    t,
    push(under, folder, by(), { limits: { ...LIMITS, bytes: 100 } }),
    'output_too_large',
    /more than 100 bytes/,
  );
  const long = await under.files('long', { [`${`${'x'.repeat(250)}/`.repeat(3)}${'x'.repeat(220)}`]: '' });
  await fails(t, push(under, long), 'output_not_a_file', /a key of more than 1024 bytes in the bucket/);
  await symlink('/etc/passwd', join(folder, 'link'));
  await fails(t, push(under, folder), 'output_not_a_file', /\/outputs\/link is a link/);
  t.deepEqual(await under.keys(), []);
});

test('A push that is cancelled leaves nothing that is taken for whole [P10]', async (t) => {
  const server = await minio();
  const options = await bucketOptions(server);
  const cancel = new AbortController();
  await using proxy = await startS3Proxy(server.endpoint, ({ url = '' }) => {
    if (url.includes('partNumber=2')) cancel.abort(new Error('cancelled'));
  });
  await using under = await openTestConnections({ ...options, endpoint: proxy.endpoint });
  const folder = await under.files('made', { large: randomBytes(20_000_000) });
  await t.throwsAsync(push(under, folder, { ...by(), signal: cancel.signal }), { message: 'cancelled' });
  t.deepEqual(await under.keys(), []);
});
