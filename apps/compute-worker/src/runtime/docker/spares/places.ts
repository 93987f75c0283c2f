import { chmod, lchown, lstat, mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { below } from '../../../files/open-tree.ts';
import { outermost } from '../../folders.ts';
import type { Mount } from '../../index.ts';
import { GATE_FOLDER } from './gate.ts';

/**
 * The folders of a container that was started ahead: made before it is known whose run it is. When that is known they take
 * the places of the run's own folders, with all that lies in those: a mount is of a folder, and not of its path.
 */

/** For each mount of a run, in their order, where its folder lies in the folder of a spare container. */
export type Places = readonly string[];

/** The places for mounts like these; undefined where a spare container cannot have them. */
export function placesFor(mounts: readonly Mount[]): Places | undefined {
  const hosts = mounts.map(({ host }) => host);
  if (new Set(hosts).size < hosts.length) return undefined;
  if (mounts.some(({ container }) => `${container}/`.startsWith(`${GATE_FOLDER}/`))) return undefined;
  const outer = outermost(hosts);
  return hosts.map((host) => {
    const index = outer.findIndex((other) => `${host}/`.startsWith(`${other}/`));
    return join(String(index), relative(outer[index] ?? '', host));
  });
}

/** Makes the folders of a spare container in `folder`. */
export async function makePlaces(places: Places, folder: string): Promise<void> {
  for (const place of places) await mkdir(join(folder, place), { recursive: true });
}

/**
 * Gives the folders of a spare container in `folder` the places of the folders of `mounts`, with all that lies in these.
 * Throws what the file system throws, and then all is as it was.
 */
export async function takePlaces(mounts: readonly Mount[], places: Places, folder: string): Promise<void> {
  const pairs = mounts.map(({ host }, index) => ({ host, spare: join(folder, places[index] ?? '') }));
  const undo: (() => Promise<void>)[] = [];
  // Those within others first: then nothing but files and folders to be moved is left in these.
  pairs.sort((a, b) => b.host.length - a.host.length);
  try {
    for (const { host, spare } of pairs) await replace(host, spare, undo);
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
}

/** Puts one folder in the place of another, with all that lies in that. */
async function replace(host: string, spare: string, undo: (() => Promise<void>)[]): Promise<void> {
  const { mode, uid, gid } = await lstat(host);
  await chmod(spare, mode & 0o7777);
  const own = await lstat(spare);
  if (own.uid !== uid || own.gid !== gid) await lchown(spare, uid, gid);
  const [from, to] = [Buffer.from(host), Buffer.from(spare)];
  for (const name of await readdir(from, { encoding: 'buffer' })) {
    await rename(below(from, name), below(to, name));
    undo.push(async () => await rename(below(to, name), below(from, name)));
  }
  await rmdir(host);
  undo.push(async () => await mkdir(host, { mode }));
  await rename(spare, host);
  undo.push(async () => await rename(host, spare));
}
