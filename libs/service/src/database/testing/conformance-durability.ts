import { setImmediate } from 'node:timers/promises';
import { isPlatformError } from '@morpheo/common';
import ava, { type ExecutionContext } from 'ava';
import type { Database } from '../index.ts';
import type { DatabaseUnderTest, Register, SlowDisk } from './conformance-driver.ts';
import { addNote, type NotesSchema, note, noteIds, notesMigrations } from './conformance-schema.ts';

type Run = (t: ExecutionContext, database: Database<NotesSchema>, disk: SlowDisk) => Promise<void>;

/** Registers what the contract says about the disk as tests of one driver, where the disk can be watched. */
export function testDurability(driver: DatabaseUnderTest): void {
  const { slowDisk } = driver;
  if (slowDisk === undefined) return;
  const test: Register = driver.test ?? ava;
  const behaves = (title: string, run: Run) =>
    test(`${driver.name}: ${title}`, async (t) => {
      await using disk = await slowDisk();
      await using database = await disk.open<NotesSchema>({ migrations: notesMigrations });
      await run(t, database, disk);
    });

  behaves('a write is answered when the disk has taken it, and not before [D1]', waitsForDisk);
  behaves('writes run while the disk is busy, and are answered in their order [D1]', runsMeanwhile);
  behaves('writes that came while the disk was busy share its next turn [D3]', sharesTurns);
  behaves('a write that changes nothing is answered when what it saw is on disk [D1]', waitsForWhatItSaw);
  behaves('a write that changes nothing asks nothing of the disk [D1]', asksForNothing);
  behaves('a read is answered when what it saw is on disk [D21]', readsWhatIsKept);
  behaves('where the disk does not take a write, nothing more is answered or tried [D5]', givesUp);
  behaves('disposing waits until the disk has taken what was written [D18]', closesLast);
}

/** Follows a promise: whether it has been settled is known a while later, when all that was due has been done. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  void promise.then(settle, settle);
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  return settled;
}

const waitsForDisk: Run = async (t, database, disk) => {
  const asked = disk.hold();
  const write = addNote(database, 'a');
  await asked;
  t.false(await isSettled(write));
  disk.take();
  await write;
};

const runsMeanwhile: Run = async (t, database, disk) => {
  const asked = disk.hold();
  const answers: string[] = [];
  const first = addNote(database, 'a').then(() => answers.push('a'));
  await asked;
  const ran = Promise.withResolvers<void>();
  const second = database
    .write(async (tx) => {
      await tx.insertInto('notes').values(note('b')).execute();
      ran.resolve();
    })
    .then(() => answers.push('b'));
  await ran.promise;
  t.false(await isSettled(Promise.race([first, second])));
  disk.take();
  await Promise.all([first, second]);
  t.deepEqual(answers, ['a', 'b']);
};

const sharesTurns: Run = async (t, database, disk) => {
  const asked = disk.hold();
  const first = addNote(database, 'a');
  await asked;
  const before = disk.asked;
  const others = Array.from({ length: 50 }, async (_, n) => {
    for (let turn = 0; turn < n % 10; turn += 1) await setImmediate();
    await addNote(database, `${n}`);
  });
  t.false(await isSettled(Promise.race([first, ...others])));
  disk.take();
  await Promise.all([first, ...others]);
  t.true(disk.asked - before <= 4, `the disk was asked ${disk.asked - before} times`);
};

const waitsForWhatItSaw: Run = async (t, database, disk) => {
  const asked = disk.hold();
  const first = addNote(database, 'a');
  await asked;
  const found = database.write(async (tx) => await tx.selectFrom('notes').select('id').execute());
  t.false(await isSettled(found));
  disk.take();
  t.deepEqual(await found, [{ id: 'a' }]);
  await first;
};

const asksForNothing: Run = async (t, database, disk) => {
  await addNote(database, 'a');
  const before = disk.asked;
  t.deepEqual(await database.write(async (tx) => await tx.selectFrom('notes').select('id').execute()), [
    { id: 'a' },
  ]);
  t.deepEqual(await noteIds(database), ['a']);
  t.is(disk.asked, before);
};

const readsWhatIsKept: Run = async (t, database, disk) => {
  const asked = disk.hold();
  const write = addNote(database, 'a');
  await asked;
  const plain = noteIds(database);
  const withSignal = database.read
    .selectFrom('notes')
    .select('id')
    .execute({ signal: AbortSignal.timeout(60_000) });
  t.false(await isSettled(Promise.race([plain, withSignal])));
  disk.take();
  t.deepEqual(await plain, ['a']);
  t.deepEqual(await withSignal, [{ id: 'a' }]);
  await write;
};

const givesUp: Run = async (t, database, disk) => {
  const asked = disk.hold();
  const writes = [addNote(database, 'a')];
  await asked;
  const ran = Promise.withResolvers<void>();
  writes.push(database.write(async () => ran.resolve()));
  const read = noteIds(database);
  await ran.promise;
  const before = disk.asked;
  disk.fail(new Error('the disk is on fire'));
  disk.take();
  for (const refused of [...writes, read, addNote(database, 'b'), noteIds(database), database.ping()]) {
    const error = await t.throwsAsync(refused);
    t.true(isPlatformError(error, 'unavailable'), error?.message);
    t.regex(error?.message ?? '', /the disk is on fire/);
  }
  t.is(disk.asked, before);
};

const closesLast: Run = async (t, database, disk) => {
  const asked = disk.hold();
  const write = addNote(database, 'a');
  await asked;
  const closed = database[Symbol.asyncDispose]();
  t.false(await isSettled(Promise.race([write, closed])));
  disk.take();
  await Promise.all([write, closed]);
};
