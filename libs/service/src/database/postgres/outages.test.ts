import { isPlatformError } from '@morpheo/common';
import { type PostgresServer, startPostgres, withParts } from '@morpheo/real-parts';
import ava, { type ExecutionContext } from 'ava';
import { memoryLog } from '../../log/index.ts';
import { eventually } from '../../testing/index.ts';
import type { Database } from '../index.ts';
import { addNote, type NotesSchema, noteIds, notesMigrations } from '../testing/conformance-schema.ts';
import type { PostgresTimes } from './client-config.ts';
import { openPostgres } from './index.ts';

const test = withParts(ava, 'postgres');
async function openOn(
  server: PostgresServer,
  log = memoryLog(),
  times: Partial<PostgresTimes> = {},
): Promise<Database<NotesSchema>> {
  return await openPostgres({ address: server.target, migrations: notesMigrations, times, log });
}

/** Writes as many callers do, until `enough`; what is refused must be `unavailable`. Resolves with what was acknowledged. */
async function writeOn(
  t: ExecutionContext,
  database: Database<NotesSchema>,
  enough: (kept: number) => boolean,
) {
  const kept: string[] = [];
  let refused = 0;
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let count = 0; !enough(kept.length); count += 1) {
      try {
        await addNote(database, `${writer}-${count}`);
        kept.push(`${writer}-${count}`);
      } catch (error) {
        if (!isPlatformError(error, 'unavailable')) t.fail(String(error));
        refused += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });
  await Promise.all(writers);
  return { kept, refused };
}

test('What was acknowledged is there after the server was killed, and writes go on [D1]', async (t) => {
  t.timeout(300_000);
  await using server = await startPostgres();
  const log = memoryLog();
  await using database = await openOn(server, log);
  let kept = 0;
  let isOver = false;
  const kills = (async () => {
    for (const mark of [200, 500]) {
      await eventually(t, (t) => t.true(kept >= mark));
      await server.kill();
      await server.start();
    }
  })().finally(() => {
    isOver = true;
  });
  const written = writeOn(t, database, (count) => {
    kept = count;
    return count >= 800 && isOver;
  });
  await kills;
  const { kept: ids, refused } = await written;
  t.true(refused > 0, 'no write met the dead server');
  const there = new Set(await noteIds(database));
  t.deepEqual(
    ids.filter((id) => !there.has(id)),
    [],
  );
  // Once for each time that it was away, not for each write that met it so.
  const told = log.entries.map(({ message }) => message);
  const times = told.filter((message) => message === 'the database is away').length;
  t.true(times >= 2 && times <= 4 && times < refused, `told ${times} times of ${refused}`);
  t.is(told.filter((message) => message === 'the database answers again').length, times);
});

test('A server that shuts down refuses, and is found again when it is back [D5] [D15]', async (t) => {
  t.timeout(300_000);
  await using server = await startPostgres();
  await using database = await openOn(server);
  await addNote(database, 'before');
  await server.stop();
  const refused = await t.throwsAsync(addNote(database, 'meanwhile'));
  t.true(isPlatformError(refused, 'unavailable'), refused?.message);
  t.true(isPlatformError(await t.throwsAsync(database.ping()), 'unavailable'));
  await server.start();
  await addNote(database, 'after');
  t.deepEqual(await noteIds(database), ['after', 'before']);
});

test('A server that is frozen is given up in time, and nothing that hung is told as done', async (t) => {
  t.timeout(300_000);
  await using server = await startPostgres();
  await using database = await openOn(server, memoryLog(), { connectMs: 8_000, statementMs: 1_000 });
  await addNote(database, 'before');
  await server.freeze();
  const started = performance.now();
  const late = await t.throwsAsync(database.ping(AbortSignal.timeout(50)), { message: /in time/ });
  t.true(isPlatformError(late, 'unavailable'));
  t.true(performance.now() - started < 6_000);
  t.true(isPlatformError(await t.throwsAsync(addNote(database, 'hung')), 'unavailable'));
  t.true(performance.now() - started < 40_000);
  await server.thaw();
  await eventually(t, async (t) => await t.notThrowsAsync(addNote(database, `after ${performance.now()}`)));
  t.true((await noteIds(database)).includes('before'));
});

test('Notifications are heard again after the server was away', async (t) => {
  t.timeout(300_000);
  await using server = await startPostgres();
  const log = memoryLog();
  await using listener = await openOn(server, log);
  await using sender = await openOn(server);
  const heard = new Set<string>();
  let begun = 0;
  const begins = () => {
    begun += 1;
  };
  using _listening = listener.listen('orders', (text) => heard.add(text), begins);
  const hears = async (text: string) =>
    await eventually(t, (t) => {
      sender.notify('orders', text);
      t.true(heard.has(text));
    });
  await hears('first');
  // What comes while an opening greets the others is heard a moment before.
  await eventually(t, (t) => t.is(begun, 1));
  await server.kill();
  await server.start();
  await hears('second');
  await eventually(t, (t) =>
    t.is(begun, 2, 'what was notified meanwhile is lost, and whoever listens may look'),
  );
  const told = log.entries.map(({ level, message }) => `${level} ${message}`);
  t.true(told.some((line) => line.includes('warn notifications of other services are not heard')));
  t.true(told.includes('info notifications of other services are heard again'));
});
