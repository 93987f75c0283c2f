import { randomUUID } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
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
   * Whether the machine is another one than at the last start, or was started again since: then the folder, with its
   * whole disk, may be a copy.
   */
  readonly moved: boolean;
  /** Notes that this machine is that of the worker, once it is certain that no other process is the worker. */
  settle(): Promise<void>;
  /**
   * Leaves the id to another process that has it, as where a disk was copied: the next start in this folder makes a new
   * one, so that the two do not take over from each other for ever.
   */
  giveUp(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Schema {
  readonly identity: { readonly id: string; readonly place: string | null; readonly machine: string | null };
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
  '3_machine': async ({ schema }) => {
    await schema.alterTable('identity').addColumn('machine', 'text').execute();
  },
};

/**
 * Takes a worker's folder for this process and reads who the worker is. The lock is the system's own on the file of
 * an embedded database: it ends with the process, however that ends, so that the next one starts at once. A copy of a
 * worker's folder is another worker, and gets an id of its own, which is logged; a folder that was renamed is not.
 * `machineOf` names the machine that a file is on, between two of its starts. Throws `unavailable` where another
 * process has the folder.
 */
export async function takeIdentity(
  folder: string,
  log: Log = silentLog,
  machineOf = runningMachine,
): Promise<Identity> {
  const file = join(folder, 'worker.db');
  const database = await openSqlite<Schema>({ file, migrations }).catch(refuse(folder));
  try {
    const [place, here] = [await placeOf(file), await machineOf(file)];
    const { id, copied, moved } = await database.write(async (tx) => {
      const known = await tx.selectFrom('identity').selectAll().executeTakeFirst();
      const isCopy = known !== undefined && known.place !== null && !isSame(known.place, place);
      const id = known === undefined || isCopy ? randomUUID() : known.id;
      const before = isCopy ? null : (known?.machine ?? null);
      const row = { id, place: JSON.stringify(place), machine: before ?? here };
      if (known === undefined) await tx.insertInto('identity').values(row).execute();
      else await tx.updateTable('identity').set(row).execute();
      return { id, copied: isCopy ? known.id : undefined, moved: row.machine !== here };
    });
    if (copied !== undefined) {
      const message =
        'The folder is a copy of the folder of another worker: this worker gets an id of its own, and takes nothing over from that one';
      log.warn({ folder, worker: id, copied }, message);
    }
    return {
      ...{ id, moved },
      settle: async () => {
        if (moved)
          await database.write(
            async (tx) => await tx.updateTable('identity').set({ machine: here }).execute(),
          );
      },
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

/**
 * The machine since its start, as Linux names it, and the disk where that is a device: other file systems have another
 * number whenever they are mounted. Of a machine that tells nothing, always the same.
 */
async function runningMachine(file: string): Promise<string> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  const { dev } = await stat(file);
  return `${boot.trim()} ${majorOf(dev) === 0 ? '' : dev}`;
}

/** Linux's number of the driver of a device: 0 where there is none. */
function majorOf(dev: number): number {
  return Math.floor(dev / 256) % 4096;
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
