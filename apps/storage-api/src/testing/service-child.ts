import { readFile } from 'node:fs/promises';
import { silentLog } from '@morpheo/service/log';
import { openStorageService } from '../service.ts';

/**
 * A service in a process of its own, for tests that kill or measure it: the folder is its argument. It sends its
 * address, and answers `peak` with the most memory that it ever held, in bytes, and `sweep` when it has swept.
 */
const service = await openStorageService({
  host: '127.0.0.1',
  port: 0,
  dataFolder: process.argv[2] ?? '',
  authenticate: null,
  settings: { orphanGraceMs: 1 },
  version: '0.0.0',
  log: silentLog,
});

process.on('message', async (question) => {
  if (question === 'sweep') await service.sweep();
  process.send?.(question === 'peak' ? await peakBytes() : question);
});
process.send?.(service.url);

/** The kernel's own figure; that of `process.resourceUsage` counts the parent's memory in. */
async function peakBytes(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8');
  const [, kibibytes] = /^VmHWM:\s*(\d+) kB$/m.exec(status) ?? [];
  return Number(kibibytes) * 1024;
}
