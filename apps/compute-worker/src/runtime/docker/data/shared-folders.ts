import { lchownSync, lstatSync } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PlatformError } from '@morpheo/common';
import { readHost } from '../../beside.ts';
import { demandRunnable, mountsOf } from '../../driver.ts';
import { type DiskUse, DiskWatch } from '../../folders.ts';
import type { AnyRun } from '../../index.ts';
import type { ContainerUser, DataTransport, RunData } from './transport.ts';

/**
 * Data in folders that the daemon has at the same paths as the worker: nothing is copied. Where the worker is root,
 * what a run may write is given to the user of the containers.
 */
export function sharedFolders(user: ContainerUser, workerUid: number): DataTransport {
  return {
    kind: 'shared',
    async open({ spec }) {
      await demandRunnable(spec);
      if (workerUid !== user.uid) for (const folder of writableOf(spec)) await giveTree(folder, user);
      return await watched(spec);
    },
    async adopt({ spec }, before) {
      await demandRunnable(spec);
      return await watched(spec, before);
    },
  };
}

function writableOf(spec: AnyRun): string[] {
  return mountsOf(spec)
    .filter((mount) => !mount.readOnly)
    .map((mount) => mount.host);
}

async function watched(spec: AnyRun, before?: DiskUse): Promise<RunData> {
  const { limits } = spec;
  const bounds = { bytes: limits.diskBytes, files: limits.diskFiles };
  const watch = await DiskWatch.open(writableOf(spec), bounds, before);
  return {
    before: watch.before,
    mounts: mountsOf(spec).map(({ host, container, readOnly }) => ({
      Type: 'bind',
      Source: host,
      Target: container,
      ReadOnly: readOnly,
    })),
    read: readHost,
    isBeyond: async () => await watch.isBeyond(),
    collect: async () => !(await watch.isBeyond()),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Gives a folder and what is in it to a user, following no link; a file that has other names is left as it is. */
async function giveTree(folder: string, { uid, gid }: ContainerUser): Promise<void> {
  const open = [folder];
  const give = (path: string) => {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return;
    const isElsewhere = !stats.isDirectory() && stats.nlink > 1;
    if (stats.uid !== uid && !isElsewhere) lchownSync(path, uid, gid);
    if (stats.isDirectory() && path !== folder) open.push(path);
  };
  try {
    give(folder);
    for (let inside = open.pop(); inside !== undefined; inside = open.pop()) {
      for await (const { name } of await opendir(inside)) give(join(inside, name));
    }
  } catch (error) {
    // What an earlier step left deeper than a path can be is of no use to this one.
    if (errnoOf(error) === 'ENAMETOOLONG') return;
    const message = `The folder ${folder} cannot be given to the user of the containers.`;
    throw new PlatformError('internal', message, { cause: error });
  }
}
