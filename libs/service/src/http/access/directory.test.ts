import { mkdtempDisposable, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BytesOut, type Directory, PlatformError } from '@morpheo/common';
import test from 'ava';
import { memoryLog } from '../../log/index.ts';
import { createMetrics } from '../../metrics/index.ts';
import { eventually } from '../../testing/index.ts';
import { cheapHash } from '../testing/cheap-hash.ts';
import { createCallers } from './credentials.ts';
import { followDirectory } from './directory.ts';

/** A storage-api, as far as it answers who the people are. */
class FakeStorage {
  people: Directory['people'] = [];
  away = false as boolean;
  /** What it was asked with, and what it answered. */
  readonly asked: (string | undefined)[] = [];
  readonly answered: number[] = [];

  readonly ask = async (input: { headers: { 'if-none-match'?: string | undefined } }): Promise<BytesOut> => {
    if (this.away) throw new PlatformError('unavailable', 'storage-api is away.');
    const text = JSON.stringify({ people: this.people });
    const etag = `"${text.length}-${this.people.map(({ tokens }) => tokens.length).join()}"`;
    this.asked.push(input.headers['if-none-match']);
    const unchanged = input.headers['if-none-match'] === etag;
    this.answered.push(unchanged ? 304 : 200);
    if (unchanged) return { status: 304, headers: { etag } };
    return { status: 200, headers: { etag }, body: new Blob([text]).stream() };
  };
}

function personOf(name: string, ...tokens: string[]): Directory['people'][number] {
  return {
    ...{ name, roles: ['reader'] },
    tokens: tokens.map((id) => ({ id, secret_hash: cheapHash(`${id}.secret`) })),
  };
}

async function openFolder() {
  const folder = await mkdtempDisposable(join(tmpdir(), 'directory-'));
  return {
    copy: join(folder.path, 'directory.json'),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** A service that follows it. */
async function follow(storage: FakeStorage, copy: string | undefined, everyMs = 1) {
  const callers = createCallers([]);
  const [metrics, log] = [createMetrics(), memoryLog()];
  const followed = await followDirectory({ callers, ask: storage.ask, copy, everyMs, metrics, log });
  return {
    nameOf: async (token: string) => (await callers.authenticate(`Bearer ${token}`))?.name,
    check: () => followed.check(),
    log,
    age: async () => /^morpheo_directory_age_seconds (.*)$/m.exec(await metrics.expose())?.[1],
    [Symbol.asyncDispose]: () => followed[Symbol.asyncDispose](),
  };
}

const HOUR_MS = 3_600_000;

test('People are let in from the first answer on, and changes are heard', async (t) => {
  const storage = new FakeStorage();
  storage.people = [personOf('ann', 'one')];
  await using service = await follow(storage, undefined);
  t.is(await service.nameOf('ann.one.secret'), 'ann');
  await service.check();
  storage.people = [personOf('bob', 'one', 'two')];
  await eventually(t, async (t) => t.is(await service.nameOf('bob.two.secret'), 'bob'));
  t.is(await service.nameOf('ann.one.secret'), undefined);
  t.is(storage.asked[0], undefined);
  await eventually(t, (t) => t.is(storage.answered.at(-1), 304));
});

test('A copy whose folder is not there, or that was removed, is written anew', async (t) => {
  await using folder = await openFolder();
  const copy = join(folder.copy, 'within', 'copy.json');
  const storage = new FakeStorage();
  storage.people = [personOf('ann', 'one')];
  await using service = await follow(storage, copy);
  for (const _ of ['the first', 'the next']) {
    await eventually(t, async (t) => t.regex(await readFile(copy, 'utf8'), /ann/));
    await rm(copy);
  }
  await eventually(t, async (t) => {
    t.regex(await readFile(copy, 'utf8'), /ann/);
    await service.check();
  });
});

test('While storage-api is away the last copy holds, after a restart too, and its age is told', async (t) => {
  await using folder = await openFolder();
  const storage = new FakeStorage();
  storage.people = [personOf('ann', 'one')];
  {
    await using service = await follow(storage, folder.copy);
    t.is((await stat(folder.copy)).mode & 0o777, 0o600);
    storage.away = true;
    await eventually(t, async (t) => {
      await t.throwsAsync(service.check(), {
        code: 'unavailable',
        message: /^The people are known from a copy that is \d+ s old: storage-api is away\.$/,
      });
    });
    t.is(await service.nameOf('ann.one.secret'), 'ann');
    t.is(service.log.entries.filter(({ level }) => level === 'warn').length, 1, 'told once');
  }
  const past = Date.now() / 1000 - 3600;
  await utimes(folder.copy, past, past);
  await using service = await follow(storage, folder.copy);
  t.is(await service.nameOf('ann.one.secret'), 'ann');
  t.true(Number(await service.age()) >= 3600);
  storage.away = false;
  await eventually(t, async (t) => await t.notThrowsAsync(service.check()));
  t.true(Number(await service.age()) < 3600);
  t.is(storage.answered.at(-1), 304, 'the copy was asked about by its version');
  await eventually(t, async (t) => t.true((await stat(folder.copy)).mtimeMs > Date.now() - HOUR_MS));
});

test('A copy is what was heard last, and holds no secret', async (t) => {
  await using folder = await openFolder();
  const storage = new FakeStorage();
  storage.people = [personOf('ann', 'one', 'two')];
  await using _service = await follow(storage, folder.copy);
  t.true((await readFile(folder.copy, 'utf8')).includes('"two"'));
  storage.people = [personOf('ann', 'one')];
  await eventually(t, async (t) => t.false((await readFile(folder.copy, 'utf8')).includes('"two"')));
});

test('A copy that is no good is made anew, and one that cannot be written is told', async (t) => {
  await using folder = await openFolder();
  await writeFile(folder.copy, '{"directory":');
  const storage = new FakeStorage();
  storage.people = [personOf('ann', 'one')];
  await using service = await follow(storage, folder.copy);
  t.is(await service.nameOf('ann.one.secret'), 'ann');
  t.true((await readFile(folder.copy, 'utf8')).includes('ann'));
  await using other = await follow(storage, join(folder.copy, 'no-folder'));
  t.is(await other.nameOf('ann.one.secret'), 'ann', 'people are let in all the same');
  await t.throwsAsync(other.check(), { message: /ENOTDIR/ });
});

test('Where storage-api never answered nobody is known, and there is no age', async (t) => {
  const storage = new FakeStorage();
  storage.away = true;
  await using service = await follow(storage, undefined, HOUR_MS);
  await t.throwsAsync(service.check(), { message: 'No people are known: storage-api is away.' });
  t.is(await service.age(), undefined);
});

test('Roles of a later version open nothing here, and its people are known', async (t) => {
  const storage = new FakeStorage();
  const ann = personOf('ann', 'one');
  storage.people = [JSON.parse(JSON.stringify({ ...ann, roles: ['emperor', 'reader'] }))];
  await using service = await follow(storage, undefined);
  t.is(await service.nameOf('ann.one.secret'), 'ann');
});
