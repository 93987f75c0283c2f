import { openSqlite } from '../index.ts';
import { addNote, type NotesSchema, notesMigrations } from '../testing/conformance-schema.ts';

// Writes rows as fast as it can and prints the id of each row that was acknowledged, until it is killed.
const file = process.argv[2];
if (file === undefined) throw new Error('usage: crash-writer.fixture.ts FILE');
const database = await openSqlite<NotesSchema>({ file, migrations: notesMigrations });
process.stdout.write('open\n');
const round = process.pid;
await Promise.all(
  Array.from({ length: 8 }, async (_, writer) => {
    for (let count = 0; ; count += 1) {
      const id = `${round}-${writer}-${count}`;
      await addNote(database, id);
      process.stdout.write(`${id}\n`);
    }
  }),
);
