import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Dump, dumpTables } from '@morpheo/service/database/testing';
import type { TestStorage } from './open-storage.ts';
import { sorted } from './requests.ts';

/** Every row and every byte of a storage. */
export interface AllThatIsKept {
  readonly tables: Dump;
  /** Name, size and true SHA-256 of each blob, sorted. */
  readonly blobs: readonly string[];
  /** What is half-written: files of uploads, and what a sweep of the blob store would remove. */
  readonly unfinished: { readonly uploads: readonly string[]; readonly halfWritten: number };
}

/** Reads it all, so that two moments can be compared. */
export async function allThatIsKept({ database, blobs, folder }: TestStorage): Promise<AllThatIsKept> {
  const listed: string[] = [];
  for await (const { digest, size } of blobs.list()) {
    const hash = createHash('sha256');
    for await (const piece of await blobs.get(digest)) hash.update(piece);
    listed.push(`${digest} ${size} ${hash.digest('hex')}`);
  }
  const uploads = await readdir(join(folder, 'uploads')).catch(() => []);
  const { files: halfWritten } = await blobs.sweep(0, { dryRun: true });
  return {
    tables: await dumpTables(database),
    blobs: sorted(listed),
    unfinished: { uploads, halfWritten },
  };
}
