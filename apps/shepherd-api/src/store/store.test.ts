import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { quickFolder } from '@morpheo/real-parts';
import { minioTest, sharedMinio } from '@morpheo/service/buckets/testing';
import { Secret } from '@morpheo/service/config';
import test from 'ava';
import { type StoreUnderTest, testAbsentJobStore, testJobStore } from './conformance.ts';
import { openFolderStore } from './folder.ts';
import { openS3Store } from './s3.ts';
import { isBucketName } from './store.ts';

const minio = sharedMinio();

async function openFolder(): Promise<StoreUnderTest> {
  const folder = await mkdtemp(join(quickFolder(), 'job-store-'));
  return {
    store: await openFolderStore(folder),
    bucket: randomUUID(),
    reopen: async () => await openFolderStore(folder),
    [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true, force: true }),
  };
}

async function openS3(): Promise<StoreUnderTest> {
  const { endpoint, credentials } = await minio();
  return await s3At(endpoint, credentials);
}

async function s3At(
  endpoint: string,
  keys: { readonly accessKeyId: string; readonly secretAccessKey: string },
  tuning = {},
): Promise<StoreUnderTest> {
  const opened = new AsyncDisposableStack();
  const credentials = { ...keys, secretAccessKey: new Secret(keys.secretAccessKey) };
  const reopen = async () => opened.use(openS3Store({ endpoint, credentials, tuning }));
  return {
    store: await reopen(),
    bucket: randomUUID(),
    reopen,
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

testJobStore('a folder', openFolder);
testJobStore('S3', openS3, minioTest);

testAbsentJobStore('a folder', async () => {
  const under = await openFolder();
  const folder = join(quickFolder(), `job-store-${randomUUID()}`);
  const store = await openFolderStore(folder);
  await rm(folder, { recursive: true });
  await writeFile(folder, 'no folder');
  await under[Symbol.asyncDispose]();
  return { ...under, store, [Symbol.asyncDispose]: async () => await rm(folder) };
});

// Nobody listens at port 1.
testAbsentJobStore(
  'S3',
  async () => await s3At('http://127.0.0.1:1', { accessKeyId: 'a', secretAccessKey: 'b' }),
);

test('What S3 takes as the name of a bucket can be the id of a job, and nothing else', (t) => {
  const good = ['355d7806-daf2-4249-8581-63b5fcf0d335', 'abc', 'a.b-c.1', '1'.repeat(63)];
  const bad = [
    '',
    'ab',
    'A-job',
    'a_b',
    '-ab',
    'ab-',
    'a..b',
    'a.-b',
    '.ab',
    '1.2.3.4',
    'a'.repeat(64),
    'ä-job',
    'a/b',
    '../x',
    'abc\n',
  ];
  t.deepEqual(
    good.filter((name) => !isBucketName(name)),
    [],
  );
  t.deepEqual(
    bad.filter((name) => isBucketName(name)),
    [],
  );
});
