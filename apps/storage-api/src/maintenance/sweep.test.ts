import { rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { measured } from '@morpheo/common';
import fc from 'fast-check';
import { inPieces } from '../blobs/conformance/index.ts';
import { type BlobStore, putBlob } from '../blobs/index.ts';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, id, sha256, sorted } from '../testing/requests.ts';

const upload = ({ api }: TestStorage, number: number, bytes: string) =>
  api.upload({ params: { type: 'data' }, query: { uuid: id(number) }, body: bodyOf(bytes) });

async function makeOld({ folder }: TestStorage, bytes: string): Promise<void> {
  const digest = sha256(bytes);
  const longAgo = new Date(Date.now() - 24 * 3_600_000);
  await utimes(join(folder, 'blobs', digest.slice(0, 2), digest), longAgo, longAgo);
}

testOnEngines('bytes without a row are swept once they are old', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await putBlob(storage.blobs, inPieces(Buffer.from('orphan')));
  await storage.sweep();
  t.deepEqual(await storage.files(), [sha256('orphan')]);
  await makeOld(storage, 'orphan');
  await storage.sweep();
  t.deepEqual(await storage.files(), []);
});

testOnEngines('bytes with a row are never swept', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await upload(storage, 1, 'kept');
  await makeOld(storage, 'kept');
  await storage.sweep();
  t.deepEqual(await storage.files(), [sha256('kept')]);
});

testOnEngines('bytes that could not be removed are swept later', async (t, openTestStorage) => {
  const disk: { broken: boolean } = { broken: true };
  const breaking = (blobs: BlobStore): BlobStore => ({
    receive: (...given) => blobs.receive(...given),
    get: (...given) => blobs.get(...given),
    stat: (...given) => blobs.stat(...given),
    remove: (...given) => (disk.broken ? Promise.reject(new Error('EIO')) : blobs.remove(...given)),
    list: () => blobs.list(),
    sweep: (...given) => blobs.sweep(...given),
    ping: () => blobs.ping(),
  });
  await using storage = await openTestStorage({}, breaking);
  await upload(storage, 1, 'stubborn');
  await storage.api.remove({ params: { type: 'data', uuid: id(1) } });
  t.true(storage.log.entries.some(({ level }) => level === 'warn'));
  disk.broken = false;
  await makeOld(storage, 'stubborn');
  await storage.sweep();
  t.deepEqual(await storage.files(), []);
});

testOnEngines(
  'uploads, deletions and sweeps at once never lose the bytes of what is there',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage({ orphanGraceMs: 60_000 });
    const step = fc.oneof(
      fc.record({
        what: fc.constant('upload' as const),
        number: fc.nat(5),
        bytes: fc.constantFrom('a', 'b'),
      }),
      fc.record({ what: fc.constant('remove' as const), number: fc.nat(5), bytes: fc.constant('') }),
      fc.record({ what: fc.constant('sweep' as const), number: fc.constant(0), bytes: fc.constant('') }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        await Promise.allSettled(
          steps.map(({ what, number, bytes }) => {
            if (what === 'sweep') return storage.sweep();
            if (what === 'upload') return upload(storage, number, bytes);
            return storage.api.remove({ params: { type: 'data', uuid: id(number) } });
          }),
        );
        const { items } = await storage.api.list({ params: { type: 'data' }, query: {} });
        const needed = new Set(items.map((item) => measured(item).sha256));
        t.deepEqual(await storage.files(), sorted(needed));
      }),
      { numRuns: 60 },
    );
  },
);

testOnEngines(
  'what fills many pages is swept to the last one, and what is needed stays',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage({ stagedMaxAgeMs: 1 });
    const { database } = storage;
    const blobs = Array.from({ length: 1100 }, (_, n) => ({ sha256: sha256(`${n}`), size: 1, stored_at: 1 }));
    const needed = blobs.filter((_, n) => n % 100 === 0).map(({ sha256: digest }) => digest);
    const resources = needed.map((digest, n) => ({
      ...{ type: 'data' as const, uuid: id(n), sha256: digest, size: 1, uploaded_at: 1, seq: n },
      ...{ owner: 'ann', visibility: 'private' as const, purpose: 'open' as const, problems: '' },
    }));
    const staged = blobs.slice(0, 450).map(({ sha256: digest }, n) => ({
      ...{ order_id: id(n), attempt: 1, type: 'prediction' as const, uuid: id(n), sha256: digest },
      ...{ size: 1, staged_at: 1, owner: '' },
    }));
    const pins = staged.map(({ order_id }) => ({ order_id, round: 1, released_at: 1 }));
    await database.write(async (write) => {
      await write.insertInto('blobs').values(blobs).execute();
      await write.insertInto('resources').values(resources).execute();
      await write.insertInto('staged').values(staged).execute();
      await write.insertInto('pins').values(pins).execute();
    });
    t.is((await storage.collect({ dryRun: true })).expired.blobs, blobs.length - needed.length);
    await storage.sweep();
    const left = await database.read.selectFrom('blobs').select('sha256').execute();
    t.deepEqual(sorted(left.map(({ sha256: digest }) => digest)), sorted(needed));
    for (const table of ['staged', 'pins'] as const)
      t.deepEqual(await database.read.selectFrom(table).select('order_id').execute(), [], table);
  },
);

testOnEngines('the checks say which part does not answer', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const { signal } = new AbortController();
  await Promise.all(Object.values(storage.checks).map((check) => check(signal)));
  await rm(join(storage.folder, 'staging'), { recursive: true });
  await refused(t, storage.checks.blobs(signal), 'unavailable', /staging/);
  await t.notThrowsAsync(storage.checks.database(signal));
});
