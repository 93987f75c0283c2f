import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';

/** How many appends of 4 KiB, each synced, the disk takes in a second, one after another: tried for `ms` milliseconds. */
export function commitsPerSecond(file: string, ms: number): number {
  const handle = openSync(file, 'wx');
  const page = Buffer.alloc(4096, 1);
  const started = performance.now();
  let count = 0;
  try {
    while (performance.now() - started < ms) {
      writeSync(handle, page);
      fdatasyncSync(handle);
      count++;
    }
  } finally {
    closeSync(handle);
    rmSync(file);
  }
  return count / ((performance.now() - started) / 1000);
}
