import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FLAGS, type RawEntry, rawTarGz } from '@morpheo/service/archive/testing';

/** The limits that the scenarios run with: what an archive unpacks to, and what a step may write. */
export const SCENARIO_DISK = { diskBytes: 64 * 2 ** 20, diskFiles: 5000 } as const;

const DOCKERFILE: RawEntry = {
  name: 'Dockerfile',
  body: 'FROM node:24-slim\nCOPY . /app\nENTRYPOINT ["node", "/app/main.js"]\n',
};

/** Archives that mean harm, by what they do. */
const HOSTILE: Readonly<Record<string, () => Uint8Array>> = {
  'no-gzip': () => Buffer.from('this is no archive'),
  'climbs-out': () => rawTarGz([DOCKERFILE, { name: '../evil', body: 'x' }]),
  absolute: () => rawTarGz([DOCKERFILE, { name: '/tmp/morpheo-evil', body: 'x' }]),
  link: () => rawTarGz([DOCKERFILE, { name: 'main.js', flag: FLAGS.symlink, link: '/etc/passwd' }]),
  bomb: () => rawTarGz([DOCKERFILE, { name: 'zeros', body: Buffer.alloc(SCENARIO_DISK.diskBytes + 1) }]),
  'too-many-entries': () =>
    rawTarGz(
      Array.from({ length: SCENARIO_DISK.diskFiles + 1 }, (_, index) => ({ name: `f${index}`, body: '' })),
    ),
};

/** One of the archives that mean harm. */
export function hostileArchive(name: string): Uint8Array {
  const make = HOSTILE[name];
  if (make === undefined) throw new Error(`There is no hostile archive named ${name}`);
  return make();
}

/** A folder as an archive: its files, and those of its folders. */
export async function archiveOf(folder: string): Promise<Uint8Array> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return rawTarGz(
    await Promise.all(
      files.toSorted().map(async (path) => ({
        name: path.slice(folder.length).replace(/^\//, ''),
        body: await readFile(path),
      })),
    ),
  );
}
