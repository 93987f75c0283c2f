import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlatformError, PlatformError } from '@morpheo/common';
import { type Migrations, openSqlite } from '@morpheo/service/database';
import { type Log, silentLog } from '@morpheo/service/log';
import { z } from 'zod';

/** Who a worker is: the same after every start, and one process at a time. Disposing lets the folder go. */
export interface Identity {
  /** A UUID, made at the first start in the folder. */
  readonly id: string;
  /**
   * Leaves the id to another process that has taken it over, which only a copy does that could not be told apart: the
   * next start in this folder makes a new one, so that the two do not take over from each other for ever.
   */
  giveUp(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Schema {
  readonly identity: { readonly id: string; readonly place: string | null };
}

const migrations: Migrations = {
  '1_identity': async ({ schema }) => {
    await schema
      .createTable('identity')
      .addColumn('id', 'text', (column) => column.notNull())
      .execute();
  },
  '2_place': async ({ schema }) => {
    await schema.alterTable('identity').addColumn('place', 'text').execute();
  },
};

/**
 * Takes a worker's folder for this process and reads who the worker is. The lock is the system's own on the file of
 * an embedded database: it ends with the process, however that ends, so that the next one starts at once. A copy of a
 * worker's folder is another worker, and gets an id of its own, which is logged; a folder that was renamed is not.
 * Throws `unavailable` where another process has the folder.
 */
export async function takeIdentity(folder: string, log: Log = silentLog): Promise<Identity> {
  const file = join(folder, 'worker.db');
  const database = await openSqlite<Schema>({ file, migrations }).catch(refuse(folder));
  try {
    const place = await placeOf(file);
    const { id, copied } = await database.write(async (tx) => {
      const known = await tx.selectFrom('identity').select(['id', 'place']).executeTakeFirst();
      const isCopy = known !== undefined && known.place !== null && !isSame(known.place, place);
      const id = known === undefined || isCopy ? randomUUID() : known.id;
      const row = { id, place: JSON.stringify(place) };
      if (known === undefined) await tx.insertInto('identity').values(row).execute();
      else await tx.updateTable('identity').set(row).execute();
      return { id, copied: isCopy ? known.id : undefined };
    });
    if (copied !== undefined) {
      const message =
        'The folder is a copy of the folder of another worker: this worker gets an id of its own, and takes nothing over from that one';
      log.warn({ folder, worker: id, copied }, message);
    }
    return {
      id,
      giveUp: async () => {
        await database.write(async (tx) => await tx.deleteFrom('identity').execute());
      },
      [Symbol.asyncDispose]: async () => await database[Symbol.asyncDispose](),
    };
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

const place = z.object({ inode: z.string(), born: z.string() });

/** What a file is told from its copies by. Its device is not in it: that has another number after a reboot. */
type Place = z.infer<typeof place>;

async function placeOf(file: string): Promise<Place> {
  const { ino, birthtimeNs } = await stat(file, { bigint: true });
  return { inode: String(ino), born: String(birthtimeNs) };
}

/** The time of birth counts where the file system tells one, as not all do. */
function isSame(known: string, { inode, born }: Place): boolean {
  const before = place.parse(JSON.parse(known));
  const isTold = before.born !== '0' && born !== '0';
  return before.inode === inode && (!isTold || before.born === born);
}

function refuse(folder: string): (error: unknown) => never {
  return (error) => {
    if (!isPlatformError(error, 'unavailable')) throw error;
    const message = `The worker cannot have the folder ${folder} for itself: ${error.message}`;
    throw new PlatformError('unavailable', `${message} Two workers need two folders.`, { cause: error });
  };
}
