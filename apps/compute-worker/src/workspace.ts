import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '@morpheo/service/log';
import { removeTree } from './remove-tree.ts';

/**
 * The folder of one attempt: all that its code reads and writes lies below it. Disposing removes it; where that fails
 * it is logged, and tried again at the next start.
 */
export interface Workspace {
  /** Makes a fresh folder inside; the names are the caller's. */
  folder(name: string): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Where workspaces are made. */
export interface Workspaces {
  open(order: string, attempt: number): Promise<Workspace>;
}

/** Opens the folder of workspaces, and removes those that a dead process left. */
export async function openWorkspaces(folder: string, log: Log): Promise<Workspaces> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) await removeTree(join(folder, name));
  return { open: (order, attempt) => openWorkspace(join(folder, `${order}.${attempt}`), log) };
}

async function openWorkspace(path: string, log: Log): Promise<Workspace> {
  await mkdir(path, { mode: 0o700 });
  return {
    async folder(name) {
      const inside = join(path, name);
      await mkdir(inside);
      return inside;
    },
    async [Symbol.asyncDispose]() {
      try {
        await removeTree(path);
      } catch (error) {
        log.error({ error, path }, 'A workspace could not be removed');
      }
    },
  };
}
