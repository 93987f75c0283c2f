import { randomUUID } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { migrations, type Schema } from '@morpheo/compute-api';
import { openSqlite } from '@morpheo/service/database';

/** As many as can wait for one commit with the most callers that are measured. */
const AT_ONCE = 64;

/**
 * How many orders the embedded database alone takes in a second: the rows that an order becomes, put in by plain
 * statements, so many to a commit, each commit synced; tried for `ms` milliseconds. What compute-api cannot pass,
 * however little it does itself.
 */
export async function rowsPerSecond(file: string, ms: number, spec: () => string): Promise<number> {
  const made = await openSqlite<Schema>({ file, migrations });
  await made[Symbol.asyncDispose]();
  const database = new DatabaseSync(file);
  try {
    database.exec('pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full');
    const order = database.prepare(`
      insert into orders (id, kind, status, spec, identity, problem, workflow, algo, model_end, attempt, charged,
        publishes, events, effects, due_at, created_at, publish_after)
      values (?, 'learn', 'todo', ?, ?, ?, ?, ?, ?, 0, 0, 0, 1, 0, ?, ?, ?)`);
    const event = database.prepare(`
      insert into events (order_id, n, at, attempt, what, status, details)
      values (?, 1, ?, 0, 'accepted', 'todo', '{}')`);
    const [problem, workflow, algo] = [randomUUID(), randomUUID(), randomUUID()];
    const started = performance.now();
    let count = 0;
    for (; performance.now() - started < ms; count += AT_ONCE) {
      database.exec('begin immediate');
      for (let one = 0; one < AT_ONCE; one++) {
        const [id, now] = [randomUUID(), Date.now()];
        order.run(id, spec(), '0'.repeat(64), problem, workflow, algo, randomUUID(), now, now, now);
        event.run(id, now);
      }
      database.exec('commit');
    }
    return count / ((performance.now() - started) / 1000);
  } finally {
    database.close();
  }
}

/** How many appends of 4 KiB, each synced, the disk takes in a second, one after another: tried for `ms` milliseconds. */
export function commitsPerSecond(file: string, ms: number): number {
  const handle = openSync(file, 'wx');
  const page = Buffer.alloc(4096, 1);
  const started = performance.now();
  let count = 0;
  try {
    while (performance.now() - started < ms) {
      writeSync(handle, page);
      fdatasyncSync(handle);
      count++;
    }
  } finally {
    closeSync(handle);
    rmSync(file);
  }
  return count / ((performance.now() - started) / 1000);
}
