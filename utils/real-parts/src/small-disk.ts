import { execFile } from 'node:child_process';
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A disk of few bytes, in memory, for tests of full disks. */
export interface SmallDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly folder: string;
  /** Takes all room that it has left. */
  fill(): Promise<void>;
  /** Gives back what {@link fill} took. */
  free(): Promise<void>;
  /** Takes nothing more, as a disk that the kernel has found failing; no file on it may be open for writing. */
  readOnly(): Promise<void>;
}

/** Whether this process may mount disks: root on Linux may. */
export const canMountDisks = process.platform === 'linux' && process.getuid?.() === 0;

/** Mounts a disk of `bytes` on an empty folder; it is unmounted, with all that it holds, when it is disposed. */
export async function mountSmallDisk(folder: string, bytes: number): Promise<SmallDisk> {
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder]);
  const ballast = join(folder, '.ballast');
  return {
    folder,
    async fill() {
      const { bavail, bsize } = await statfs(folder);
      // What others take meanwhile is missing, and then as much as there is is taken.
      if (bavail > 0)
        await run('fallocate', ['--length', String(bavail * bsize), ballast]).catch(() => undefined);
    },
    async free() {
      await rm(ballast, { force: true });
    },
    readOnly: async () => void (await run('mount', ['-o', 'remount,ro', folder])),
    [Symbol.asyncDispose]: async () => void (await run('umount', ['--lazy', folder])),
  };
}
