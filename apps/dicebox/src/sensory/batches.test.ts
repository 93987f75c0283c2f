import { silentLog } from '@morpheo/service/log';
import type { DiceboxDatabase, PictureSetRow } from '../db/schema.ts';
import { everywhere } from '../testing/open-sensory.ts';
import { Batches } from './batches.ts';
import { Giving } from './giving.ts';
import { PictureSets } from './sets.ts';
import { storePictures } from './store.ts';

/** A set with so many pictures, which have pixels alone. */
async function fill(database: DiceboxDatabase, pictures: number): Promise<PictureSetRow> {
  const sets = new PictureSets(database);
  const { id } = await sets.make('dicebox', { name: 'dice', width: 1, height: 1 });
  const picture = { category: 'one', name: null, digest: '', format: 'png', bytes: Buffer.alloc(1) } as const;
  const ready = Array.from({ length: pictures }, (_, at) => ({ ...picture, pixels: Buffer.from([at]) }));
  await storePictures(database, id, ready);
  return await sets.find('dicebox');
}

everywhere('Each sample is given once, whoever asks beside', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  const batches = await Batches.open(database);
  const { id } = await batches.order('dicebox', await fill(database, 40), { size: 40, noise: 0 });
  const poller = async () => {
    const samples: number[] = [];
    for (;;) {
      const given = await batches.poll(id, 'dicebox');
      if (given === undefined) return samples;
      samples.push(given.sample);
      await batches.settle(given, 'given');
    }
  };
  const samples = (await Promise.all([poller(), poller(), poller()])).flat();
  t.deepEqual(
    samples.toSorted((a, b) => a - b),
    [...Array(40).keys()],
  );
  t.is(await batches.poll(id, 'dicebox'), undefined);
});

everywhere('What was lost on its way is given again, what was given whole is not', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  const batches = await Batches.open(database);
  const { id } = await batches.order('dicebox', await fill(database, 3), { size: 3, noise: 0 });
  const poll = async () => await batches.poll(id, 'dicebox');
  const [first, second] = [await poll(), await poll()];
  if (first === undefined || second === undefined) return t.fail();
  await batches.settle(first, 'given');
  await batches.settle(second, 'lost');
  t.is((await poll())?.sample, second.sample);
  t.is((await poll())?.sample, 2);
  // Both are on their way still.
  t.is(await poll(), undefined);
});

everywhere(
  'A sample is settled when its answer has left, and lost where that was cut, or was never made',
  async (t, engine) => {
    await using place = await engine.place();
    await using database = await place.open();
    const batches = await Batches.open(database);
    const { id } = await batches.order('dicebox', await fill(database, 4), { size: 4, noise: 0 });
    const giving = new Giving(batches, silentLog);
    const give = async (sent: 'whole' | 'cut', make: () => Promise<void> = async () => undefined) => {
      const given = await batches.poll(id, 'dicebox');
      if (given === undefined) return undefined;
      await giving.answer(given, Promise.resolve(sent), make).catch(() => undefined);
      await giving[Symbol.asyncDispose]();
      return given.sample;
    };
    const fails = async () => {
      throw new Error('The picture cannot be read.');
    };
    t.is(await give('whole'), 0);
    t.is(await give('cut'), 1);
    t.is(await give('whole', fails), 1);
    t.is(await give('whole'), 1);
    t.deepEqual([await give('whole'), await give('whole'), await give('whole')], [2, 3, undefined]);
    t.deepEqual(await database.read.selectFrom('open_samples').selectAll().execute(), []);
  },
);

everywhere('What a process was giving that was killed is given again by the next', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  const killed = await Batches.open(database);
  const { id } = await killed.order('dicebox', await fill(database, 3), { size: 3, noise: 0 });
  t.is((await killed.poll(id, 'dicebox'))?.sample, 0);
  // Another service may live beside on PostgreSQL: there it takes a while until one is known to be gone.
  const other = await Batches.open(database, { lostMs: 3_600_000 });
  t.is((await other.poll(id, 'dicebox'))?.sample, engine.name === 'sqlite' ? 0 : 1);
  const next = await Batches.open(database, { lostMs: 0 });
  t.is((await next.poll(id, 'dicebox'))?.sample, 0);
});

everywhere('What is still being given is not lost, however long that takes', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  const batches = await Batches.open(database, { lostMs: 0 });
  const { id } = await batches.order('dicebox', await fill(database, 2), { size: 2, noise: 0 });
  const poll = async () => await batches.poll(id, 'dicebox');
  const [first, second] = [await poll(), await poll()];
  if (first === undefined || second === undefined) return t.fail();
  t.deepEqual([first.sample, second.sample, await poll()], [0, 1, undefined]);
  await batches.settle(first, 'lost');
  t.is((await poll())?.sample, 0);
});

everywhere('A batch is forgotten when nobody has used it for long', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  const set = await fill(database, 3);
  const batches = await Batches.open(database);
  const { id, used_at } = await batches.order('dicebox', set, { size: 3, noise: 0 });
  await batches.poll(id, 'dicebox');
  await batches.sweep();
  t.is(batches.expiryOf({ ...(await batches.use(id, 'dicebox')), used_at }), used_at + 30 * 60_000);
  const later = await Batches.open(database, { expireMs: -1 });
  t.is(await later.poll(id, 'dicebox'), undefined);
  await t.throwsAsync(later.use(id, 'dicebox'), { code: 'not_found' });
  await later.sweep();
  await t.throwsAsync(batches.use(id, 'dicebox'), { code: 'not_found' });
  t.is((await database.read.selectFrom('open_samples').selectAll().execute()).length, 0);
});

everywhere('More samples than the set has pictures are refused with the number', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  const batches = await Batches.open(database);
  await t.throwsAsync(batches.order('dicebox', await fill(database, 3), { size: 4, noise: 0 }), {
    code: 'invalid_request',
    message: /The set dice_1x1 has 3 pictures, and 4 were asked for: ask for 3 at most/,
  });
});
