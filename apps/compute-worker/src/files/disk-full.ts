import { statfs } from 'node:fs/promises';
import { isDiskFull, isPlatformError, PlatformError } from '@morpheo/common';
import { z } from 'zod';
import { formatBytes } from '../steps/format.ts';

/** Whose disk it is, of those that orders need and do not answer for. */
export type Disk = 'worker' | 'docker' | 'storage';

const details = z.object({ disk: z.enum(['worker', 'docker', 'storage']) });

/** That a disk of the platform has no room, as `disk_full`. The message is for whoever sent the order, too. */
export function diskFull(disk: Disk, message: string, cause?: unknown): PlatformError {
  return new PlatformError('disk_full', message, { details: { disk }, cause });
}

/** Whose disk had no room where an error says so; undefined for all other errors. What names no disk is of the worker's. */
export function fullDiskOf(error: unknown): Disk | undefined {
  if (!isPlatformError(error, 'disk_full')) return isDiskFull(error) ? 'worker' : undefined;
  return details.safeParse(error.details).data?.disk ?? 'worker';
}

/** The room on the disk of a folder, in bytes. */
export interface Room {
  /** That this user can have. */
  readonly free: number;
  readonly total: number;
}

/** How much room there is where a folder lies. */
export async function roomAt(folder: string): Promise<Room> {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { free: bavail * bsize, total: blocks * bsize };
}

/** The room in words: `12 kB of 40 GB are free`. */
export function roomText({ free, total }: Room): string {
  return `${formatBytes(free)} of ${formatBytes(total)} are free`;
}
