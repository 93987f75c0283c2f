import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { PlatformError } from '@morpheo/common';
import { tarTree } from '../../../archive/tar-tree.ts';
import { removeTree } from '../../../files/remove-tree.ts';
import type { Daemon } from '../client/daemon.ts';
import { readBuildRecords } from '../images/build-records.ts';
import type { ContainerUser } from './transport.ts';

/** How many mounts the image of data has folders for. */
export const DATA_MOUNTS = 16;

/** The path of the folder for a mount. */
export function dataPath(index: number): string {
  return `/v${index}`;
}

/**
 * The name of an image that holds nothing but empty folders that belong to the user, made in the daemon where it is
 * not there. No container of it is ever started: one that is created gives access to volumes, and these take over
 * whom the folder below them belongs to.
 */
export async function dataImage(daemon: Daemon, user: ContainerUser): Promise<string> {
  const [repo, tag] = ['morpheo-data', `${user.uid}-${user.gid}`];
  const name = `${repo}:${tag}`;
  if ((await daemon.inspectImage(name)) !== undefined) return name;
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-data-'));
  try {
    for (let index = 0; index < DATA_MOUNTS; index += 1) await mkdir(join(folder, dataPath(index)));
    await daemon.ask('import an image', async (docker, signal) => {
      const tar = Readable.from(tarTree(folder, { owner: user, signal }));
      const answer = await docker.importImage(tar, { repo, tag, changes: ['CMD ["/none"]'] });
      for await (const record of readBuildRecords(answer)) {
        if (record.kind === 'error') throw new PlatformError('unavailable', record.message);
      }
    });
    return name;
  } finally {
    await removeTree(folder);
  }
}
