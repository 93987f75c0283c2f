import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startMinio } from '@morpheo/real-parts';
import { hashSecret } from '@morpheo/service/http';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { blobLocationOf } from './config/blobs.ts';
import { loadConfig } from './config/config.ts';
import { start } from './start.ts';
import { refused } from './testing/expect.ts';
import { minioTest } from './testing/minio.ts';

const problemsOf = (...argv: string[]) => {
  try {
    loadConfig(argv, {});
    return '';
  } catch (error) {
    return String(error);
  }
};

test('the flags of the original are understood', (t) => {
  const flags = '-host 0.0.0.0 -port 80 -user a -password b -blobstore local -data-dir /x -cert c -key k';
  const loaded = loadConfig(flags.split(' '), {});
  if (loaded.kind !== 'settings') return t.fail(loaded.kind);
  t.like(loaded.values, { host: '0.0.0.0', port: 80, user: 'a', dataDir: '/x', cert: 'c', key: 'k' });
  t.is(loaded.values.password?.reveal(), 'b');
});

test('without credentials nothing starts', (t) => {
  t.regex(problemsOf(), /Nobody could call/);
  t.regex(problemsOf('--user', 'a'), /--user and --password belong together/);
  t.is(problemsOf('--insecure-open'), '');
  t.regex(problemsOf('--insecure-open', '--host', '0.0.0.0'), /serves loopback alone/);
  t.regex(problemsOf('--insecure-open', '--hosts', 'a.example'), /serves loopback alone, not a.example/);
  t.regex(problemsOf('--insecure-open', '--credentials', 'file'), /contradict/);
});

test('uploads under way may have announced what one of them may have', (t) => {
  const bound = (bytes: string) => problemsOf('--insecure-open', '--open-upload-bytes', bytes);
  t.regex(bound('1GiB'), /--open-upload-bytes is 1073741824, less than --max-upload-bytes \(17179869184\)/);
  t.is(bound('16GiB'), '');
  t.is(bound('0'), '');
});

test('the known password of the original is for loopback alone', (t) => {
  const known = ['-user', 'u', '-password', 'p'];
  t.is(problemsOf(...known), '');
  t.regex(problemsOf(...known, '-host', '0.0.0.0'), /Everybody knows/);
});

const BUCKET = ['--insecure-open', '-blobstore', 's3', '-s3-bucket', 'b'];

test('a store that there is not is refused', (t) => {
  t.regex(problemsOf('--insecure-open', '-blobstore', 'mock'), /--blobstore .*"local"/);
});

test('settings of a bucket that contradict one another are refused', (t) => {
  t.is(problemsOf(...BUCKET, '-s3-region', 'eu-west-1'), '');
  t.is(problemsOf('--insecure-open', '-blobstore', 'gc', '-gc-bucket', 'b'), '');
  t.regex(problemsOf('--insecure-open', '-blobstore', 's3'), /needs --s3-bucket/);
  t.regex(problemsOf('--insecure-open', '--s3-bucket', 'b'), /say --blobstore s3/);
  t.regex(problemsOf(...BUCKET, '--s3-access-key', 'a'), /belong together/);
  t.regex(problemsOf(...BUCKET, '--s3-session-token', 'a'), /belongs to --s3-access-key/);
  t.regex(problemsOf(...BUCKET, '--s3-sse-key', 'a'), /key of --s3-sse aws:kms/);
  t.regex(problemsOf(...BUCKET, '--s3-public-endpoint', 'http://a'), /say --s3-links/);
  t.regex(problemsOf(...BUCKET, '--s3-endpoint', 'http://a', '--s3-ca', 'x'), /says http/);
  t.regex(problemsOf(...BUCKET, '--s3-endpoint', 'ftp://a'), /--s3-endpoint/);
  t.regex(
    problemsOf(...BUCKET, '--s3-endpoint', 'http://key:secret@a'),
    /keys do not belong into an address/,
  );
});

test('the keys of a bucket come from the environment and are not shown', async (t) => {
  const env = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'hush-hush' };
  const loaded = loadConfig([...BUCKET, '--s3-links'], env);
  if (loaded.kind !== 'settings') return t.fail(loaded.kind);
  const place = await blobLocationOf('s3', loaded.values, '/data');
  t.false(JSON.stringify(place).includes('hush'));
  t.like(place, { kind: 's3', options: { bucket: 'b', links: { seconds: 300 }, partCopies: true } });
  const google = await blobLocationOf('gc', loaded.values, '/data');
  t.like(google, { options: { endpoint: 'https://storage.googleapis.com', checksums: 'when-required' } });
  await refused(
    t,
    blobLocationOf('s3', { ...loaded.values, s3Ca: '/none' }, '/data'),
    'invalid_request',
    /--s3-ca/,
  );
});

minioTest('a service whose bucket is not there does not start', async (t) => {
  await using server = await startMinio();
  const folder = await mkdtemp(join(tmpdir(), 'storage-start-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const flags = [...BUCKET, '--port', '0', '--data-dir', folder, '--s3-endpoint', server.endpoint];
  const { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY } = server.credentials;
  const env = { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY };
  const named = [...flags, '--s3-bucket', 'made-at-start', '--log-level', 'error'];
  await refused(t, start(named, env), 'unavailable', /no such bucket: create it/);
  await using service = await start([...named, '--s3-create-bucket'], env);
  const ready = async () => (await fetch(`${String(service?.ready?.url)}/ready`)).status;
  await eventually(t, async (t) => t.is(await ready(), 200));
  await server.kill();
  t.is(await ready(), 503);
});

test('a service starts from its flags and knows its callers', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'storage-start-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'credentials.json');
  await writeFile(
    file,
    JSON.stringify([{ name: 'ann', roles: ['reader'], secretHash: await hashSecret('secret') }]),
  );
  const flags = `--port 0 --user bob --password word --credentials ${file} --data-dir ${folder} --log-level error`;
  await using service = await start(flags.split(' '), {});
  const { url } = service?.ready ?? {};
  const status = async (credentials: string, method: string) => {
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    return (await fetch(`${String(url)}/data`, { method, headers: { authorization } })).status;
  };
  t.is(await status('ann:secret', 'GET'), 200);
  t.is(await status('ann:secret', 'POST'), 403);
  t.is(await status('bob:word', 'POST'), 400);
  t.is(await status('bob:wrong', 'GET'), 401);
});

test('a service on loopback answers to a name that it is given, as behind a proxy, and to no other', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'storage-start-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const flags = `--port 0 --user bob --password word --hosts storage.example --data-dir ${folder} --log-level error`;
  await using service = await start(flags.split(' '), {});
  const status = async (host: string) => {
    const asked = request(`${String(service?.ready?.url)}/health`, { headers: { host } }).end();
    const [{ statusCode }] = (await once(asked, 'response')) as [IncomingMessage];
    return statusCode;
  };
  t.is(await status('storage.example'), 200);
  t.is(await status('localhost'), 200);
  t.is(await status('rebound.example'), 403);
});

test('a service that is told so refuses a client that asks too much', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'storage-start-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const flags = `--port 0 --user bob --password word --data-dir ${folder} --rate-limit 1 --rate-burst 1 --guess-limit 3`;
  await using service = await start([...flags.split(' '), '--log-level', 'error'], {});
  const status = async (credentials?: string) => {
    const authorization = `Basic ${Buffer.from(credentials ?? '').toString('base64')}`;
    const headers = credentials === undefined ? {} : { authorization };
    return (await fetch(`${String(service?.ready?.url)}/data`, { headers })).status;
  };
  const statuses = async (credentials: (count: number) => string | undefined) =>
    await Promise.all(Array.from({ length: 20 }, (_, count) => status(credentials(count))));
  t.deepEqual([...new Set(await statuses(() => 'bob:word'))], [200], 'who runs it is not counted');
  t.true((await statuses(() => undefined)).includes(429));
  t.true((await statuses((count) => `bob:wrong ${count}`)).includes(429));
  t.is(await status('bob:word'), 200, 'a secret that is known goes on to be');
});

test('a start that fails says why', async (t) => {
  await refused(t, start(['--colour', 'red'], {}), 'invalid_request', /no such flag/);
});
