import { sql } from 'kysely';
import type { Database, Migrations, OpenDatabase } from '../index.ts';

/** The tables of the conformance suite. */
export interface NotesSchema {
  notes: { id: string; body: string | null; at: number; author: string | null };
  authors: { name: string };
}

/** The steps that make {@link NotesSchema}. */
export const notesMigrations: Migrations = {
  '001-authors': async (db) => {
    await db.schema
      .createTable('authors')
      .addColumn('name', 'text', (column) => column.primaryKey())
      .execute();
  },
  '002-notes': async (db) => {
    await db.schema
      .createTable('notes')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('body', 'text')
      .addColumn('at', 'bigint', (column) => column.notNull())
      .addColumn('author', 'text', (column) => column.references('authors.name'))
      .execute();
  },
};

/** An empty place for one database; disposing removes it with all that is in it. */
export interface Place {
  open<Schema>(options: OpenDatabase): Promise<Database<Schema>>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Adds a note whose body is its id. */
export async function addNote(database: Database<NotesSchema>, id: string): Promise<void> {
  await database.write(async (tx) => {
    await tx.insertInto('notes').values(note(id)).execute();
  });
}

/** A row whose body is its id. */
export function note(id: string): NotesSchema['notes'] {
  return { id, body: id, at: 0, author: null };
}

/** The ids of all notes, sorted. */
export async function noteIds(database: Database<NotesSchema>): Promise<string[]> {
  const rows = await database.read.selectFrom('notes').select('id').orderBy('id').execute();
  return rows.map((row) => row.id);
}

/** Whether a table is there to be read. */
export async function hasTable(database: Database<unknown>, name: string): Promise<boolean> {
  return await sql`select count(*) from ${sql.table(name)}`.execute(database.read).then(
    () => true,
    () => false,
  );
}
