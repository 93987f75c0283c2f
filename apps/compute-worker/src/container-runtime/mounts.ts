import { lstat } from 'node:fs/promises';
import { PlatformError } from '@morpheo/common';
import type { Mount } from './index.ts';

/** Rejects with `internal`, the caller being wrong, unless every mount's folder is there. */
export async function demandMounts(mounts: readonly Mount[]): Promise<void> {
  for (const { host, container } of mounts) {
    const stats = await lstat(host).catch(() => undefined);
    if (stats?.isDirectory() === true) continue;
    throw new PlatformError(
      'internal',
      `The folder ${host} that is to be mounted at ${container} is not there.`,
    );
  }
}
