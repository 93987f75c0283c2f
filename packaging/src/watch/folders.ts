import { type FSWatcher, watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What a program is made of, and what may be a folder; a test, and most of what editors write, is none of it. */
const SOURCE = /^[^.]+$|(?<!\.test)\.(?:[cm]?[jt]s|json)$/;

/** What is made, and not written by hand. */
const MADE: ReadonlySet<string> = new Set(['node_modules', 'target']);

/**
 * Watches the source files of folders, and of all below them. Folders are watched and not files: a file that is
 * replaced by another of its name (as editors, `sed -i` and `git checkout` do) is another file to the system, and
 * whoever watches the one before hears nothing of it.
 */
export class WatchedFolders implements Disposable {
  readonly #folders: readonly string[];
  readonly #changed: (file: string) => void;
  #watchers: FSWatcher[] = [];

  /** `changed` is called with each path that was written, replaced, made or removed; maybe more than once. */
  constructor(folders: readonly string[], changed: (file: string) => void) {
    this.#folders = folders;
    this.#changed = changed;
  }

  /** Begins, or begins anew with the folders that are there now. */
  async watch(): Promise<void> {
    this[Symbol.dispose]();
    for (const folder of this.#folders) await this.#watchBelow(folder);
  }

  [Symbol.dispose](): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  async #watchBelow(folder: string): Promise<void> {
    try {
      const watcher = watch(folder, (_event, name) => {
        if (name !== null && SOURCE.test(name)) this.#changed(join(folder, name));
      });
      // A folder that is removed has no more to tell; that its files went was told.
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
      for (const entry of await readdir(folder, { withFileTypes: true })) {
        if (entry.isDirectory() && !MADE.has(entry.name)) await this.#watchBelow(join(folder, entry.name));
      }
    } catch (error) {
      // It went in this moment, as folders do when another branch is checked out.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
}
