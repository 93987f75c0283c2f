import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';

const run = promisify(execFile);

/** A disk of its own: an ext4 file system in a file, of which a copy holds what had reached the disk, and no more. */
export interface LoopDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly folder: string;
  /**
   * Cuts the power: resolves with a disk that holds what the device held at this moment; what was in the system's
   * memory alone is gone. Whoever wrote has to be dead. This disk is gone with it.
   */
  cut(): Promise<LoopDisk>;
}

/** Why no disk can be made on this machine; undefined where it can. */
async function whyNoLoopDisk(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may mount a loop device';
  try {
    await using _disk = await makeLoopDisk(16);
    return undefined;
  } catch (error) {
    return `no loop device can be mounted: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Makes and mounts an empty disk. */
export async function makeLoopDisk(megabytes: number): Promise<LoopDisk> {
  const place = await mkdtemp(join(tmpdir(), 'morpheo-disk-'));
  const image = join(place, 'disk.img');
  await run('truncate', ['-s', `${megabytes}M`, image]);
  await run('mkfs.ext4', ['-q', image]);
  return await mount(place, image);
}

async function mount(place: string, image: string): Promise<LoopDisk> {
  const folder = join(place, 'mounted');
  await mkdir(folder);
  // PostgreSQL runs as a user of its own, who has to find the way.
  await chmod(place, 0o711);
  await run('mount', ['-o', 'loop', image, folder]);
  let isMounted = true;
  async function unmount(): Promise<void> {
    if (!isMounted) return;
    isMounted = false;
    await run('umount', [folder]);
    await rm(place, { recursive: true });
  }
  return {
    folder,
    async cut() {
      const next = await mkdtemp(join(tmpdir(), 'morpheo-disk-'));
      const copy = join(next, 'disk.img');
      await run('cp', ['--sparse=always', image, copy]);
      await unmount();
      return await mount(next, copy);
    },
    [Symbol.asyncDispose]: unmount,
  };
}

const reason = await whyNoLoopDisk();
if (reason !== undefined) {
  if (process.env.CI || process.env.MORPHEO_REQUIRE_REAL_PARTS)
    throw new Error(`No power can be cut here: ${reason}`);
  process.stderr.write(`SKIPPED the power cuts: ${reason}\n`);
}

/** ava's `test.serial` where a disk can be made on this machine, else a skip that is said; never a skip in CI. */
export const powerCutTest = reason === undefined ? test.serial : test.skip;
