import { readFile } from 'node:fs/promises';
import { Secret } from '@morpheo/service/config';
import { silentLog } from '@morpheo/service/log';
import type { BlobLocation } from '../blobs/index.ts';
import { openStorageService } from '../service.ts';
import type { ChildBucket } from './spawn-service.ts';

/** See {@link ChildBucket}. */
function bucketOf(text: string | undefined): BlobLocation | undefined {
  if (text === undefined) return undefined;
  const { bucket, endpoint, accessKeyId, secretAccessKey } = JSON.parse(text) as ChildBucket;
  const credentials = { accessKeyId, secretAccessKey: new Secret(secretAccessKey) };
  return { kind: 's3', options: { bucket, endpoint, credentials } };
}

/**
 * A service in a process of its own, for tests that kill or measure it: the folder is its argument, and the bucket of
 * its bytes where that is not the folder. It sends its
 * address, and answers `peak` with the most memory that it ever held, in bytes, and `sweep` when it has swept.
 */
const service = await openStorageService({
  host: '127.0.0.1',
  port: 0,
  dataFolder: process.argv[2] ?? '',
  blobs: bucketOf(process.argv[3]),
  callers: null,
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
