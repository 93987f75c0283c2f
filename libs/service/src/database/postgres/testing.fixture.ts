import type { SharedPostgres, TestDatabase } from '@morpheo/real-parts';
import type { Place } from '../testing/conformance-schema.ts';
import { openPostgres } from './index.ts';

/** A database of its own on a server. */
export async function placeOn(server: SharedPostgres): Promise<Place & { readonly database: TestDatabase }> {
  const database = await server.createDatabase();
  return {
    database,
    open: (options) => openPostgres({ address: database, poolSize: 4, ...options }),
    [Symbol.asyncDispose]: async () => await database[Symbol.asyncDispose](),
  };
}
