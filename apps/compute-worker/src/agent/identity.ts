import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { isPlatformError, PlatformError } from '@morpheo/common';
import { type Migrations, openSqlite } from '@morpheo/service/database';

/** Who a worker is: the same after every start, and one process at a time. Disposing lets the folder go. */
export interface Identity {
  /** A UUID, made at the first start in the folder. */
  readonly id: string;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Schema {
  readonly identity: { readonly id: string };
}

const migrations: Migrations = {
  '1_identity': async ({ schema }) => {
    await schema
      .createTable('identity')
      .addColumn('id', 'text', (column) => column.notNull())
      .execute();
  },
};

/**
 * Takes a worker's folder for this process and reads who the worker is. The lock is the system's own on the file of
 * an embedded database: it ends with the process, however that ends, so that the next one starts at once. Throws
 * `unavailable` where another process has the folder.
 */
export async function takeIdentity(folder: string): Promise<Identity> {
  const database = await openSqlite<Schema>({ file: join(folder, 'worker.db'), migrations }).catch(
    refuse(folder),
  );
  try {
    const id = await database.write(async (tx) => {
      const known = await tx.selectFrom('identity').select('id').executeTakeFirst();
      if (known !== undefined) return known.id;
      const made = randomUUID();
      await tx.insertInto('identity').values({ id: made }).execute();
      return made;
    });
    return { id, [Symbol.asyncDispose]: async () => await database[Symbol.asyncDispose]() };
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

function refuse(folder: string): (error: unknown) => never {
  return (error) => {
    if (!isPlatformError(error, 'unavailable')) throw error;
    const message = `The worker cannot have the folder ${folder} for itself: ${error.message}`;
    throw new PlatformError('unavailable', `${message} Two workers need two folders.`, { cause: error });
  };
}
