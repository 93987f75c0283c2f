import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What the cache keeps: blobs by their digest, and what is made from them. */
export const CACHE_AREAS = ['blobs', 'contexts', 'detargeted', 'unpacked', 'models', 'layers'] as const;

/** See {@link CACHE_AREAS}. */
export type CacheArea = (typeof CACHE_AREAS)[number];

/** A file or folder of the cache, at `<area>/<key>.<bytes>` of its folder. */
export interface Entry {
  readonly area: CacheArea;
  readonly key: string;
  readonly path: string;
  readonly bytes: number;
  /** How many use it now; only an unused one may be removed. */
  uses: number;
  /** Milliseconds since 1970; kept on disk as the modification time. */
  usedAt: number;
  /** True for what was found after the machine itself was started anew: a power cut may have left holes in it. */
  doubtful: boolean;
}

const NAME = /^([0-9a-f]{64})\.(\d{1,15})$/;

/**
 * Makes the cache's folders and finds what an earlier process left. Half-made entries are moved to the trash folder,
 * and so are folders that the machine's restart made doubtful, since nothing tells whether they are whole; blobs
 * can be proved by their digest.
 */
export async function openEntries(folder: string): Promise<Entry[]> {
  for (const name of [...CACHE_AREAS, 'tmp', 'trash'])
    await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
  discardAll(folder, 'tmp');
  const restarted = machineRestarted(folder);
  return CACHE_AREAS.flatMap((area) => readArea(folder, area, restarted));
}

function readArea(folder: string, area: CacheArea, restarted: boolean): Entry[] {
  const entries: Entry[] = [];
  for (const name of readdirSync(join(folder, area))) {
    const path = join(folder, area, name);
    const [, key, size] = NAME.exec(name) ?? [];
    const stats = statSync(path);
    const bytes = Number(size);
    const whole = stats.isFile() ? stats.size === bytes : !restarted;
    if (key === undefined || !whole) discard(folder, path);
    else entries.push({ area, key, path, bytes, uses: 0, usedAt: stats.mtimeMs, doubtful: restarted });
  }
  return entries;
}

/** True unless the folder's note says that the machine has run without a break since the note was written. */
function machineRestarted(folder: string): boolean {
  const path = join(folder, 'machine-boot');
  const boot = readText('/proc/sys/kernel/random/boot_id');
  const noted = readText(path);
  if (boot !== undefined) writeFileSync(path, boot);
  return boot === undefined || boot !== noted;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

let discarded = 0;

/**
 * Takes a file or folder out of the cache at once, into its trash folder. Returns the path that is left to be
 * removed, which may take long.
 */
export function discard(folder: string, path: string): string {
  discarded += 1;
  const trash = join(folder, 'trash', `${process.pid}.${Date.now()}.${discarded}`);
  renameSync(path, trash);
  return trash;
}

function discardAll(folder: string, name: string): void {
  for (const inside of readdirSync(join(folder, name))) discard(folder, join(folder, name, inside));
}

/** Notes on disk that an entry was used, so that the order of use outlives the process. */
export function noteUse(entry: Entry): void {
  try {
    utimesSync(entry.path, entry.usedAt / 1000, entry.usedAt / 1000);
  } catch {
    // The order in which entries are removed is not worth an error.
  }
}

/** Commits what was made at `made` to the cache, and returns its entry. */
export function commit(folder: string, area: CacheArea, key: string, made: string, bytes: number): Entry {
  const path = join(folder, area, `${key}.${bytes}`);
  rmSync(path, { recursive: true, force: true });
  renameSync(made, path);
  return { area, key, path, bytes, uses: 0, usedAt: Date.now(), doubtful: false };
}
