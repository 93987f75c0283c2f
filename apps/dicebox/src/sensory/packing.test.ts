import { PlatformError } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import type { DiceboxDatabase } from '../db/schema.ts';
import { everywhere, openStorage } from '../testing/open-sensory.ts';
import { numbered } from '../testing/pictures.ts';
import { Packing } from './packing.ts';
import { PictureSets } from './sets.ts';
import { PictureSnapshots, shardsOf } from './snapshots.ts';
import { prepare, storePictures } from './store.ts';

const SET = { name: 'dice', width: 4, height: 4 };
const NEVER = new AbortController().signal;

/** Stores so many pictures in a set, which it answers as it is then. */
async function fill(database: DiceboxDatabase, pictures: number, categories = 2) {
  const sets = new PictureSets(database);
  const set = await sets.make('dicebox', SET);
  const ready = await Promise.all(
    Array.from(
      { length: pictures },
      async (_, at) => await prepare(set, { category: `c${at % categories}`, bytes: numbered(at) }),
    ),
  );
  await storePictures(database, set.id, ready);
  return await sets.find('dicebox');
}

async function waiting(database: DiceboxDatabase): Promise<number> {
  const rows = await database.read
    .selectFrom('pictures')
    .select('number')
    .where('bytes', 'is not', null)
    .execute();
  return rows.length;
}

everywhere('Pictures that fill shards are packed, and the others wait in the database', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  await using storage = await openStorage();
  const set = await fill(database, 25);
  const packing = new Packing({ database, storage: storage.calls, log: silentLog, shardPictures: 10 });
  await packing.full(NEVER);
  const shards = await shardsOf(database.read, set.id);
  t.deepEqual(
    shards.map(({ first, pictures }) => [first, pictures]),
    [
      [0, 10],
      [10, 10],
    ],
  );
  t.is(await waiting(database), 5);
  const row = await database.read.selectFrom('picture_sets').selectAll().executeTakeFirstOrThrow();
  t.like(row, { pictures: 25, packed: 20 });
  // The last five: their bytes, and 16 for the pixels of each.
  const sizes = [20, 21, 22, 23, 24].map((number) => numbered(number).length + 16);
  t.is(
    row.loose_bytes,
    sizes.reduce((all, size) => all + size, 0),
  );
});

everywhere(
  'After a kill between the upload and its note, the same shard is made, and storage has one of it',
  async (t, engine) => {
    await using place = await engine.place();
    await using database = await place.open();
    await using storage = await openStorage();
    const set = await fill(database, 12);
    const dying = {
      ...storage.calls,
      upload: async (...args: Parameters<typeof storage.calls.upload>) => {
        await storage.calls.upload(...args);
        throw new PlatformError('unavailable', 'The process ends here.');
      },
    };
    const killed = new Packing({ database, storage: dying, log: silentLog, shardPictures: 10 });
    await t.throwsAsync(killed.full(NEVER), { code: 'unavailable' });
    t.is(await waiting(database), 12);
    t.is((await shardsOf(database.read, set.id)).length, 0);
    // More come before it goes on: the shard that was begun is what it was to be.
    await fill(database, 3);
    const next = new Packing({ database, storage: storage.calls, log: silentLog, shardPictures: 10 });
    await next.upTo(set, 15);
    const shards = await shardsOf(database.read, set.id);
    t.deepEqual(
      shards.map(({ pictures }) => pictures),
      [10, 5],
    );
    t.is(await waiting(database), 5);
    const { items } = await storage.calls.list({ params: { type: 'data' }, query: {} });
    // Storage lists the newest first.
    t.deepEqual(
      items.map(({ uuid }) => uuid),
      shards.map(({ resource }) => resource).toReversed(),
    );
  },
);

everywhere('Two who pack at once make each shard once', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  await using storage = await openStorage();
  const set = await fill(database, 35);
  const both = [1, 2].map(
    () => new Packing({ database, storage: storage.calls, log: silentLog, shardPictures: 10 }),
  );
  await Promise.all(both.map(async (packing) => await packing.upTo(set, 35)));
  const shards = await shardsOf(database.read, set.id);
  t.deepEqual(
    shards.map(({ pictures }) => pictures),
    [10, 10, 10, 5],
  );
  const { items } = await storage.calls.list({ params: { type: 'data' }, query: {} });
  t.is(items.length, 4);
});

everywhere(
  'A snapshot for a training is refused without pictures, and with one category alone',
  async (t, engine) => {
    await using place = await engine.place();
    await using database = await place.open();
    await using storage = await openStorage();
    const packing = new Packing({ database, storage: storage.calls, log: silentLog });
    const snapshots = new PictureSnapshots(database, packing);
    const empty = await new PictureSets(database).make('dicebox', SET);
    await t.throwsAsync(snapshots.take(empty), { code: 'invalid_request', message: /has no pictures yet/ });
    const one = await fill(database, 3, 1);
    await t.throwsAsync(snapshots.take(one), {
      code: 'invalid_request',
      message: /one category alone, "c0"/,
    });
    const two = await fill(database, 2);
    const snapshot = await snapshots.take(two);
    t.like(snapshot, { pictures: 5, categories: ['c0', 'c1'] });
    const shards = await snapshots.shards(snapshot);
    t.deepEqual(
      shards.map(({ first, pictures }) => [first, pictures]),
      [[0, 5]],
    );
  },
);

everywhere(
  'However often pictures come, a snapshot has one small shard, and keeps its own',
  async (t, engine) => {
    await using place = await engine.place();
    await using database = await place.open();
    await using storage = await openStorage();
    const packing = new Packing({ database, storage: storage.calls, log: silentLog, shardPictures: 10 });
    const snapshots = new PictureSnapshots(database, packing);
    const taken = [];
    for (const more of [4, 3, 0, 5, 9]) {
      const set = await fill(database, more);
      taken.push(await snapshots.take(set));
    }
    const ranges = await Promise.all(
      taken.map(async (snapshot) =>
        (await snapshots.shards(snapshot)).map(({ first, pictures }) => `${first}+${pictures}`).join(' '),
      ),
    );
    t.deepEqual(ranges, ['0+4', '0+7', '0+7', '0+10 10+2', '0+10 10+10 20+1']);
    const [{ packed } = { packed: 0 }] = await database.read
      .selectFrom('picture_sets')
      .select('packed')
      .execute();
    t.is(packed, 20);
    t.is(await waiting(database), 1);
    // What was replaced goes after a day: here at once.
    await packing.sweep(NEVER, -1);
    const { items } = await storage.calls.list({ params: { type: 'data' }, query: {} });
    const last = await snapshots.shards(taken.at(-1) ?? t.fail());
    t.deepEqual(
      items.map(({ uuid }) => uuid),
      last.map(({ resource }) => resource).toReversed(),
    );
  },
);
