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

const LOOK_MS = 500;

/** Watches how much room there is where a folder lies; see {@link watchRoom}. */
export interface RoomWatch extends Disposable {
  /** The least room since the watch began. Rejects where the disk cannot be asked now. */
  least(): Promise<Room>;
}

/**
 * Watches the disk of a folder until it is disposed: at once, twice a second, and when it is asked. A disk that was full
 * for a few seconds has room again by the time that somebody looks for why a program failed.
 */
export function watchRoom(folder: string, look: typeof roomAt = roomAt, everyMs = LOOK_MS): RoomWatch {
  let least: Room | undefined;
  const note = async (): Promise<Room> => {
    const room = await look(folder);
    if (least === undefined || room.free < least.free) least = room;
    return least;
  };
  const noteIfPossible = () => void note().catch(() => undefined);
  noteIfPossible();
  const timer = setInterval(noteIfPossible, everyMs);
  return { least: note, [Symbol.dispose]: () => clearInterval(timer) };
}

/** The room in words: `12 kB of 40 GB are free`. */
export function roomText({ free, total }: Room): string {
  return `${formatBytes(free)} of ${formatBytes(total)} are free`;
}
