import { mkdtempDisposable, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import type { Peers } from '../clients.ts';
import { ShardFiles } from './shard-files.ts';

/** Shards of 100 bytes whose pixels are the last 90; the first of each is that of its name. */
class FakeStorage implements Pick<Peers['storage'], 'getDataBlob'> {
  fetched: string[] = [];
  state: 'there' | 'away' = 'there';

  readonly getDataBlob: Peers['storage']['getDataBlob'] = async ({ params, headers }) => {
    this.fetched.push(params.uuid);
    if (this.state === 'away') throw new PlatformError('unavailable', 'storage-api is away.');
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    const bytes = Buffer.alloc(100, params.uuid).subarray(Number(from), Number(to) + 1);
    return { status: 206, headers: {}, body: new Blob([bytes]).stream() };
  };
}

const shard = (resource: string) => ({ resource, at: 10, bytes: 90 });
const folderOfTest = async () => await mkdtempDisposable(join(quickFolder(), 'dicebox-shard-files-'));

test('The pixels of a shard are fetched once, whoever asks at the same time, and are there after a start', async (t) => {
  await using folder = await folderOfTest();
  const storage = new FakeStorage();
  const options = { folder: folder.path, storage, log: silentLog };
  {
    await using files = await ShardFiles.open(options);
    const read = await Promise.all([0, 30, 60].map(async (from) => await files.read(shard('a'), from, 30)));
    t.deepEqual(read.map(String), ['a'.repeat(30), 'a'.repeat(30), 'a'.repeat(30)]);
  }
  await using files = await ShardFiles.open(options);
  t.is(String(await files.read(shard('a'), 89, 1)), 'a');
  t.deepEqual(storage.fetched, ['a']);
  await t.throwsAsync(files.read(shard('a'), 89, 2), { code: 'damaged' });
});

test('Those that were not used for the longest time make room', async (t) => {
  await using folder = await folderOfTest();
  const storage = new FakeStorage();
  await using files = await ShardFiles.open({ folder: folder.path, storage, log: silentLog, mostBytes: 200 });
  for (const name of ['a', 'b', 'a', 'c']) t.is(String(await files.read(shard(name), 0, 1)), name);
  await eventually(t, async (now) => {
    now.deepEqual((await readdir(folder.path)).toSorted(byName), ['a.u8', 'c.u8']);
  });
  t.is(String(await files.read(shard('b'), 0, 1)), 'b');
  t.deepEqual(storage.fetched, ['a', 'b', 'c', 'b']);
});

test('What could not be fetched, or came short, is asked for again', async (t) => {
  await using folder = await folderOfTest();
  const storage = new FakeStorage();
  await using files = await ShardFiles.open({ folder: folder.path, storage, log: silentLog });
  storage.state = 'away';
  await t.throwsAsync(files.read(shard('a'), 0, 1), { code: 'unavailable' });
  storage.state = 'there';
  const short = { ...shard('a'), bytes: 95 };
  await t.throwsAsync(files.read(short, 0, 1), { code: 'unavailable', message: /came with 90 of 95 bytes/ });
  t.is(String(await files.read(shard('a'), 0, 1)), 'a');
  t.is(storage.fetched.length, 3);
});

function byName(a: string, b: string): number {
  return a < b ? -1 : 1;
}
