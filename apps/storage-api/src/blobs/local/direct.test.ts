import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import test from 'ava';
import { inPieces } from '../conformance/index.ts';
import { putBlob } from '../index.ts';
import { DIRECT_FROM_BYTES, DirectFile, pagesOf } from './direct.ts';
import { openLocalBlobStore } from './store.ts';

/** A folder on a disk: what lies in memory has no cache to go past. */
async function openFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'direct-'));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

test('what lies far into a blob comes back byte for byte, whole and in part, also where it is removed meanwhile', async (t) => {
  await using under = await openFolder();
  const store = await openLocalBlobStore(under);
  const bytes = randomBytes(DIRECT_FROM_BYTES + 3 * 1024 * 1024 + 12_345);
  const { digest, size } = await putBlob(store, inPieces(bytes, 100_001));
  t.is(size, bytes.length);
  t.true((await buffer(await store.get(digest))).equals(bytes));
  for (const [start, end] of [
    [DIRECT_FROM_BYTES - 5, size - 1],
    [DIRECT_FROM_BYTES + 4097, DIRECT_FROM_BYTES + 2_500_000],
    [size - 1_100_000, size - 2],
    [size - 10, size - 1],
  ] as const)
    t.true((await buffer(await store.get(digest, { start, end }))).equals(bytes.subarray(start, end + 1)));
  const stream = await store.get(digest);
  await store.remove(digest);
  t.true((await buffer(stream)).equals(bytes));
});

test('a stream of a large blob that is given up frees what it holds', async (t) => {
  await using under = await openFolder();
  const store = await openLocalBlobStore(under);
  const { digest } = await putBlob(store, inPieces(randomBytes(DIRECT_FROM_BYTES + 5_000_000)));
  const reader = (
    await store.get(digest, { start: DIRECT_FROM_BYTES, end: DIRECT_FROM_BYTES + 4_999_999 })
  ).getReader();
  t.true(((await reader.read()).value?.byteLength ?? 0) > 0);
  await t.notThrowsAsync(reader.cancel());
});

test('what does not fit such a write goes the usual way', async (t) => {
  await using under = await openFolder();
  await using handle = await open(join(under.folder, 'file'), 'w');
  await using file = new DirectFile(handle, 'write');
  const memory = pagesOf(8192);
  t.is(await file.write(memory, 4096, 0), 0);
  t.is(await file.write(memory, 4095, DIRECT_FROM_BYTES), 0);
  t.is(await file.write(memory, 4096, DIRECT_FROM_BYTES + 1), 0);
  t.true([0, 4096].includes(await file.write(memory, 4096, DIRECT_FROM_BYTES)));
  // Memory that does not begin with a page: the system refuses it, and the file is not tried again.
  const odd = memory.subarray(1, 4097);
  if ((await file.write(odd, 4096, DIRECT_FROM_BYTES)) === 0)
    t.is(await file.write(memory, 4096, DIRECT_FROM_BYTES), 0);
});
