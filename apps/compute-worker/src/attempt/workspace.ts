import { mkdirSync } from 'node:fs';
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '@morpheo/service/log';
import { removeTree } from '../files/remove-tree.ts';
import type { AttemptName, Gpu } from '../runtime/index.ts';
import { AttemptJournal, JOURNAL_FILE } from './journal.ts';

/** An attempt that begins. */
export interface NewAttempt extends AttemptName {
  readonly leaseMs: number;
  readonly gpus: readonly Gpu[];
}

/**
 * The folder of one attempt: all that its code reads and writes lies below it. Disposing removes it; where that fails
 * it is logged, and tried again at the next start.
 */
export class Workspace {
  /** What a later process would have to know to resume the attempt. */
  readonly journal: AttemptJournal;
  readonly #path: string;
  readonly #log: Log;

  constructor(path: string, journal: AttemptJournal, log: Log) {
    this.#path = path;
    this.journal = journal;
    this.#log = log;
  }

  /** Makes a folder inside, in the place of what has that name; the names are the caller's. */
  async folder(name: string): Promise<string> {
    const inside = this.at(name);
    await removeTree(inside);
    mkdirSync(inside);
    return inside;
  }

  /** The folder of that name, as it is. */
  at(name: string): string {
    return join(this.#path, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.journal.close();
    try {
      await removeTree(this.#path);
    } catch (error) {
      this.#log.error({ error, path: this.#path }, 'A workspace could not be removed');
    }
  }
}

/** The folder that workspaces are made in. */
export class Workspaces {
  /** The journals of attempts that a dead process left and that can be resumed. */
  readonly left: readonly AttemptJournal[];
  readonly #folder: string;
  readonly #keep: boolean;
  readonly #log: Log;

  private constructor(folder: string, left: readonly AttemptJournal[], keep: boolean, log: Log) {
    this.#folder = folder;
    this.left = left;
    this.#keep = keep;
    this.#log = log;
  }

  /**
   * Opens the folder, and removes the workspaces that a dead process left. Where `keep` is true, those stay whose
   * attempts can be resumed; where it is not, nothing is written down for that.
   */
  static async open(folder: string, keep: boolean, log: Log): Promise<Workspaces> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const left: AttemptJournal[] = [];
    for (const name of await readdir(folder)) {
      const journal = keep ? await readLeft(folder, name) : undefined;
      if (journal === undefined) await removeTree(join(folder, name));
      else left.push(journal);
    }
    return new Workspaces(folder, left, keep, log);
  }

  /** Makes the workspace of an attempt. */
  async make({ order, attempt, leaseMs, gpus }: NewAttempt): Promise<Workspace> {
    const path = this.#pathOf({ order, attempt });
    mkdirSync(path, { mode: 0o700 });
    const start = { order, attempt, leaseMs, gpus: [...gpus] };
    const file = this.#keep ? join(path, JOURNAL_FILE) : undefined;
    return new Workspace(path, AttemptJournal.begin(file, start), this.#log);
  }

  /** The workspace of one of `left`, as it was left. Disposing discards it. */
  reopen(journal: AttemptJournal): Workspace {
    return new Workspace(this.#pathOf(journal.of), journal, this.#log);
  }

  #pathOf({ order, attempt }: AttemptName): string {
    return join(this.#folder, `${order}.${attempt}`);
  }
}

async function readLeft(folder: string, name: string): Promise<AttemptJournal | undefined> {
  const [, order, attempt] = /^([0-9a-f-]{36})\.(\d{1,9})$/.exec(name) ?? [];
  if (order === undefined || !(await lstat(join(folder, name))).isDirectory()) return undefined;
  const of = { order, attempt: Number(attempt) };
  const journal = await AttemptJournal.read(join(folder, name, JOURNAL_FILE), of);
  return journal?.isResumable === true ? journal : undefined;
}
