import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '@morpheo/service/log';
import { AttemptRecord, RECORD } from './attempt-record.ts';
import type { AttemptName, Gpu } from './container-runtime/index.ts';
import { removeTree } from './remove-tree.ts';

/**
 * The folder of one attempt: all that its code reads and writes lies below it. Disposing removes it; where that fails
 * it is logged, and tried again at the next start.
 */
export interface Workspace {
  /** What a later process would have to know to go on with the attempt. */
  readonly record: AttemptRecord;
  /** Makes a folder inside, in the place of what has that name; the names are the caller's. */
  folder(name: string): Promise<string>;
  /** The folder of that name, as it is. */
  at(name: string): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Where workspaces are made. */
export interface Workspaces {
  /** The records of attempts that a dead process left and that can be gone on with. */
  readonly left: readonly AttemptRecord[];
  /** Makes the workspace of an attempt. */
  open(attempt: NewAttempt): Promise<Workspace>;
  /** The workspace of one of `left`, as it was left. */
  reopen(record: AttemptRecord): Workspace;
  /** Removes the workspace of one of `left`. */
  discard(record: AttemptRecord): Promise<void>;
}

/** An attempt that begins. */
export interface NewAttempt extends AttemptName {
  readonly leaseMs: number;
  readonly gpus: readonly Gpu[];
}

/**
 * Opens the folder of workspaces, and removes those that a dead process left, but where `keep` says so for those that
 * it may be gone on with.
 */
export async function openWorkspaces(folder: string, keep: boolean, log: Log): Promise<Workspaces> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const left: AttemptRecord[] = [];
  for (const name of await readdir(folder)) {
    const record = keep ? await readLeft(folder, name) : undefined;
    if (record === undefined) await removeTree(join(folder, name));
    else left.push(record);
  }
  const pathOf = ({ order, attempt }: AttemptName) => join(folder, `${order}.${attempt}`);
  return {
    left,
    async open(attempt) {
      const path = pathOf(attempt);
      await mkdir(path, { mode: 0o700 });
      const { order, leaseMs, gpus } = attempt;
      const start = { order, attempt: attempt.attempt, leaseMs, gpus: [...gpus] };
      return workspaceAt(path, AttemptRecord.begin(join(path, RECORD), start), log);
    },
    reopen: (record) => workspaceAt(pathOf(record.of), record, log),
    discard: async (record) => await removed(pathOf(record.of), log),
  };
}

async function readLeft(folder: string, name: string): Promise<AttemptRecord | undefined> {
  const [, order, attempt] = /^([0-9a-f-]{36})\.(\d{1,9})$/.exec(name) ?? [];
  if (order === undefined || !(await lstat(join(folder, name))).isDirectory()) return undefined;
  const record = await AttemptRecord.read(join(folder, name, RECORD), { order, attempt: Number(attempt) });
  return record?.isWorthwhile === true ? record : undefined;
}

function workspaceAt(path: string, record: AttemptRecord, log: Log): Workspace {
  return {
    record,
    async folder(name) {
      const inside = join(path, name);
      await removeTree(inside);
      await mkdir(inside);
      return inside;
    },
    at: (name) => join(path, name),
    async [Symbol.asyncDispose]() {
      await record.close();
      await removed(path, log);
    },
  };
}

async function removed(path: string, log: Log): Promise<void> {
  try {
    await removeTree(path);
  } catch (error) {
    log.error({ error, path }, 'A workspace could not be removed');
  }
}
