import { openSqlite } from '@morpheo/service/database';

interface Schema {
  notes: { id: string; body: string };
}

// Prints the ids of the rows that it finds, then `open`; then writes rows by several writers until it is killed, and prints
// the id of each that was answered. Its log of writes is small, so that it is moved into the file all the time.
const file = process.argv[2];
if (file === undefined) throw new Error('usage: log-writer.fixture.ts FILE');
const database = await openSqlite<Schema>({
  file,
  logPages: { copy: 40, restart: 120 },
  migrations: {
    '001-notes': async (db) => {
      await db.schema
        .createTable('notes')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('body', 'text', (column) => column.notNull())
        .execute();
    },
  },
});
const kept = await database.read.selectFrom('notes').select('id').execute();
process.stdout.write(kept.map(({ id }) => `kept ${id}\n`).join(''));
process.stdout.write('open\n');
await Promise.all(
  Array.from({ length: 4 }, async (_, writer) => {
    for (let count = 0; ; count += 1) {
      const id = `${process.pid}-${writer}-${count}`;
      const body = id.repeat(1 + Math.floor(Math.random() * 200));
      await database.write(async (tx) => {
        await tx.insertInto('notes').values({ id, body }).execute();
      });
      process.stdout.write(`${id}\n`);
    }
  }),
);
