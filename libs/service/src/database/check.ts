import { access, open } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { isPlatformError, PlatformError } from '@morpheo/common';
import type { OpenDatabase } from './database.ts';
import type { DatabasePlace } from './open.ts';

/**
 * Looks at a database without changing anything: whether it answers, and whether this program can bring its schema up
 * to date. Resolves with what was found, in a few words; rejects with what is wrong, as opening it would.
 */
export async function checkDatabase(
  place: DatabasePlace,
  { owner, migrations }: Pick<OpenDatabase, 'migrations'> & { readonly owner: string },
): Promise<string> {
  const known = Object.keys(migrations);
  if (place.engine === 'sqlite') {
    const done = await stepsInFile(place.file);
    if (done === 'in use') return `${place.file} ${IN_USE}`;
    return done === undefined ? `${place.file} will be made` : `${place.file}, ${tellSteps(done, known)}`;
  }
  const { stepsOnServer } = await import('./postgres/check.ts');
  const { name, done } = await stepsOnServer(place, `${owner}_migration`);
  return `${name}, ${tellSteps(done, known)}`;
}

const IN_USE = 'is in use, or was left by a process that was killed; its schema is checked when it is opened';

function tellSteps(done: readonly string[], known: readonly string[]): string {
  const unknown = done.find((step) => !known.includes(step));
  if (unknown !== undefined) {
    throw new PlatformError(
      'wrong_state',
      `Its schema is newer than this program: it has the step ${unknown}. Run a newer version, or name another database.`,
    );
  }
  const due = known.length - done.length;
  return due === 0
    ? 'schema up to date'
    : `${due} ${due === 1 ? 'step' : 'steps'} of the schema to be done at the next start`;
}

/** The steps that a file has; undefined where there is no file, `in use` where part of it is in its log of writes. */
async function stepsInFile(file: string): Promise<string[] | 'in use' | undefined> {
  if (!(await isThere(file))) return undefined;
  try {
    await (await open(file, 'r+')).close();
    if (await isThere(`${file}-wal`)) return 'in use';
    // As if it never changed: nothing is locked, and no file is made beside it.
    const database = new DatabaseSync(new URL(`${pathToFileURL(file).href}?immutable=1`), { readOnly: true });
    try {
      return stepsOf(database);
    } finally {
      database.close();
    }
  } catch (error) {
    if (isPlatformError(error)) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new PlatformError(
      'unavailable',
      `The database ${file} cannot be opened: ${why}; name another file, or give this user access to it.`,
      { cause: error },
    );
  }
}

async function isThere(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

function stepsOf(database: DatabaseSync): string[] {
  const table = database
    .prepare("select 1 from sqlite_schema where type = 'table' and name = 'schema_migration'")
    .get();
  if (table === undefined) return [];
  return database
    .prepare('select name from schema_migration order by name')
    .all()
    .map(({ name }) => String(name));
}
