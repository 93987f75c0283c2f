import { isPlatformError } from '@morpheo/common';
import { openDatabase } from '@morpheo/service/database';
import type { sharedPostgres } from '@morpheo/service/database/testing';
import { type StorageDatabase, type StorageSchema, storageMigrations } from '../metadata/schema.ts';

/**
 * The openings of one database by two services, that database to look into, how many writes were begun, and how many of
 * them were begun again, as a write is that met a deadlock.
 */
export async function openTwo(postgres: ReturnType<typeof sharedPostgres>) {
  await using stack = new AsyncDisposableStack();
  const server = await postgres();
  const address = stack.use(await server.createDatabase());
  const open = async (): Promise<StorageDatabase> =>
    stack.use(
      await openDatabase<StorageSchema>(
        { engine: 'postgres', address, poolSize: 8 },
        { owner: 'storage_api', migrations: storageMigrations },
      ),
    );
  const databases = [await open(), await open()] as const;
  const counts = { writes: 0, again: 0 };
  const counted = (database: StorageDatabase): StorageDatabase =>
    Object.create(database, {
      write: {
        value: (async (work) => {
          let begun = 0;
          return await database.write(async (transaction) => {
            counts.writes += 1;
            if (begun > 0) counts.again += 1;
            begun += 1;
            return await work(transaction);
          });
        }) satisfies StorageDatabase['write'],
      },
    });
  const services = databases.map(counted);
  const opened = stack.move();
  return {
    service: (index: number) => {
      const service = services[index % 2];
      if (service === undefined) throw new Error('there are two');
      return service;
    },
    database: databases[0],
    counts,
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** How often something went well; that it was refused is an answer as well, that it broke is not. */
export async function successes(calls: readonly Promise<unknown>[]): Promise<number> {
  const outcomes = await Promise.allSettled(calls);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected' && !isPlatformError(outcome.reason, 'conflict', 'not_found', 'in_use'))
      throw outcome.reason;
  }
  return outcomes.filter(({ status }) => status === 'fulfilled').length;
}
