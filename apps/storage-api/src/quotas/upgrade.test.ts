import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '@morpheo/service/database';
import test from 'ava';
import { type StorageSchema, storageMigrations } from '../metadata/schema.ts';
import { readUsage } from './usage.ts';

test('what was stored before owners were noted belongs to nobody', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'storage-upgrade-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'storage.db');
  const first = Object.entries(storageMigrations).slice(0, 1);
  const before = await openSqlite<{
    blobs: { sha256: string; size: number; stored_at: number };
    resources: { type: string; uuid: string; sha256: string; size: number; uploaded_at: number; seq: number };
  }>({ file, migrations: Object.fromEntries(first) });
  await before.write(async (write) => {
    await write.insertInto('blobs').values({ sha256: 'ab', size: 5, stored_at: 1 }).execute();
    const row = { type: 'data', uuid: 'u', sha256: 'ab', size: 5, uploaded_at: 1, seq: 1 };
    await write.insertInto('resources').values(row).execute();
  });
  await before[Symbol.asyncDispose]();
  await using after = await openSqlite<StorageSchema>({ file, migrations: storageMigrations });
  const { usage } = await readUsage(after, undefined, () => undefined);
  t.like(usage, { bytes: 5, stored_bytes: 5 });
  t.deepEqual(usage.owners, [
    { owner: '', bytes: 5, freeable_bytes: 5, kinds: [{ kind: 'data', count: 1, bytes: 5 }] },
  ]);
  const { damaged_at: since } = await after.read.selectFrom('blobs').selectAll().executeTakeFirstOrThrow();
  t.is(since, null);
});
