import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { TestDatabase } from '@morpheo/real-parts';
import type { Description } from './describe.ts';

const run = promisify(execFile);

/** Where the stored data of a version lies. */
export function folderOf(version: string): string {
  return fileURLToPath(new URL(`./versions/${version}/`, import.meta.url));
}

/** Packs what is in a folder. */
export async function pack(folder: string, file: string): Promise<void> {
  await run('tar', ['-czf', file, '--owner=0', '--group=0', '--sort=name', '-C', folder, '.']);
}

/** Unpacks it into another. */
export async function unpack(file: string, folder: string): Promise<void> {
  await run('tar', ['-xzf', file, '--no-same-owner', '-C', folder]);
}

/** Writes a database of a server as SQL that the server's own protocol takes. */
export async function dump({ url }: TestDatabase, file: string): Promise<void> {
  const form = ['--inserts', '--rows-per-insert=200', '--no-owner', '--no-privileges'];
  const { stdout } = await run('pg_dump', [...form, url], { maxBuffer: 1e8 });
  // Lines with a backslash are for psql alone.
  await writeFile(file, gzipSync(stdout.replaceAll(/^\\.*\n/gm, ''), { level: 9 }));
}

/** The SQL that {@link dump} wrote. */
export async function readDump(file: string): Promise<string> {
  return gunzipSync(await readFile(file)).toString();
}

/** Writes what a version answered of its own data. */
export async function writeDescription(
  folder: string,
  engine: string,
  description: Description,
): Promise<void> {
  const text = JSON.stringify(description, null, 1);
  await writeFile(join(folder, `${engine}.json.gz`), gzipSync(text, { level: 9 }));
}

/** Reads it. */
export async function readDescription(folder: string, engine: string): Promise<Description> {
  const bytes = gunzipSync(await readFile(join(folder, `${engine}.json.gz`)));
  return JSON.parse(bytes.toString()) as Description;
}
