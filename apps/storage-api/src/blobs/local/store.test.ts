import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { isPlatformError } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import test from 'ava';
import { inPieces, sha256, testBlobStore } from '../conformance/index.ts';
import { putBlob } from '../index.ts';
import { openLocalBlobStore } from './store.ts';

async function openTemporary() {
  const folder = await mkdtemp(join(quickFolder(), 'blob-store-'));
  const store = await openLocalBlobStore({ folder });
  const fileOf = (digest: string) => join(folder, 'blobs', digest.slice(0, 2), digest);
  return {
    folder,
    store,
    fileOf,
    staging: join(folder, 'staging'),
    reopen: async () => await openLocalBlobStore({ folder }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

testBlobStore('local', openTemporary);

test('what a dead writer left is swept by age [B25]', async (t) => {
  await using under = await openTemporary();
  await writeFile(join(under.staging, 'old'), 'half');
  await writeFile(join(under.staging, 'young'), 'written');
  const hourAgo = new Date(Date.now() - 3_600_000);
  await utimes(join(under.staging, 'old'), hourAgo, hourAgo);
  t.deepEqual(await under.store.sweep(1_800_000), { files: 1, bytes: 4 });
  t.deepEqual(await readdir(under.staging), ['young']);
});

test('a blob that was cut short on disk is not served as good', async (t) => {
  await using under = await openTemporary();
  const bytes = randomBytes(100_000);
  const { digest } = await putBlob(under.store, inPieces(bytes));
  await truncate(under.fileOf(digest), 50_000);
  const error = await t.throwsAsync(under.store.get(digest, { start: 0, end: 99_999 }));
  t.true(isPlatformError(error, 'internal'));
});

test('putting the bytes again mends a blob that was cut short', async (t) => {
  await using under = await openTemporary();
  const bytes = randomBytes(100_000);
  const { digest } = await putBlob(under.store, inPieces(bytes));
  await truncate(under.fileOf(digest), 50_000);
  await putBlob(under.store, inPieces(bytes));
  t.true((await buffer(await under.store.get(digest))).equals(bytes));
});

test('files that are no blobs are not listed [B22]', async (t) => {
  await using under = await openTemporary();
  await writeFile(join(under.folder, 'blobs', 'ab', 'README'), 'hello');
  t.deepEqual(await Array.fromAsync(under.store.list()), []);
});

test('a ping says what is wrong with the folder [B28]', async (t) => {
  await using under = await openTemporary();
  await rm(under.staging, { recursive: true });
  const error = await t.throwsAsync(under.store.ping(), { message: /staging/ });
  t.true(isPlatformError(error, 'unavailable'));
});

test('a file that has the bytes already is taken as it is, and no source is read [B29]', async (t) => {
  await using under = await openTemporary();
  const bytes = randomBytes(100_000);
  const path = join(under.folder, 'ready');
  await writeFile(path, bytes);
  const ready = { path, digest: sha256(bytes), size: bytes.length };
  let asked = 0;
  async function* source() {
    asked += 1;
    yield bytes;
  }
  const other = { ...ready, path: join(under.folder, 'gone') };
  for (const [from, reads] of [
    [ready, 0],
    [ready, 0],
    [other, 1],
  ] as const) {
    t.deepEqual(await putBlob(under.store, source(), { ready: from }), {
      digest: ready.digest,
      size: ready.size,
    });
    t.is(asked, reads);
  }
  await rm(path);
  t.true((await buffer(await under.store.get(ready.digest))).equals(bytes));
  t.deepEqual(await readdir(under.staging), []);
});

test('a file that has other bytes than were promised is refused [B4] [B29]', async (t) => {
  await using under = await openTemporary();
  const path = join(under.folder, 'ready');
  await writeFile(path, 'some');
  const ready = { path, digest: sha256(Buffer.from('some')), size: 4 };
  const put = putBlob(under.store, inPieces(Buffer.from('some')), {
    ready,
    digest: sha256(Buffer.from('other')),
  });
  t.true(isPlatformError(await t.throwsAsync(put), 'digest_mismatch'));
  t.deepEqual(await Array.fromAsync(under.store.list()), []);
});
