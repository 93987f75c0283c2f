import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { quickFolder } from '@morpheo/real-parts';
import { openSqlite } from '../index.ts';
import type { Place } from './conformance-schema.ts';

/** A folder for one database, removed with it. */
export async function temporaryPlace(): Promise<Place & { readonly file: string }> {
  const path = await mkdtemp(join(quickFolder(), 'sqlite-'));
  const file = join(path, 'deeper', 'database.sqlite');
  return {
    file,
    open: (options) => openSqlite({ file, ...options }),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}
