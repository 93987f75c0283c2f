import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTree } from '../../remove-tree.ts';
import { type Daemon, removed } from './daemon.ts';
import { isAnswer } from './daemon-error.ts';
import type { ContainerUser } from './data.ts';
import { dataImage } from './data-image.ts';
import { LABELS, type Owner } from './labels.ts';

/** What {@link seesFolder} works with. */
export interface ProbeOptions {
  readonly daemon: Daemon;
  /** A folder of the worker; a file is made in it and removed. */
  readonly folder: string;
  readonly user: ContainerUser;
  readonly owner: Owner;
}

/**
 * Whether the daemon has a folder of ours at the same path: a file with a random text is put there, and the daemon is
 * asked for it through a container that is created and never started. Throws where the daemon does not answer.
 */
export async function seesFolder({ daemon, folder, user, owner }: ProbeOptions): Promise<boolean> {
  await mkdir(folder, { recursive: true });
  const probe = await mkdtemp(join(folder, 'probe-'));
  const name = `morpheo-probe-${randomUUID()}`;
  const text = randomUUID();
  try {
    await writeFile(join(probe, 'token'), text);
    const image = await dataImage(daemon, user);
    await daemon.ask('create a container to look with', (docker) =>
      docker.createContainer({
        name,
        Image: image,
        Labels: { [LABELS.worker]: owner.worker, [LABELS.boot]: owner.boot },
        NetworkDisabled: true,
        HostConfig: {
          NetworkMode: 'none',
          Mounts: [{ Type: 'bind', Source: probe, Target: '/v0', ReadOnly: true }],
        },
      }),
    );
    const seen = await daemon.ask('show a file', async (docker) => {
      const tar = await docker.getContainer(name).getArchive({ path: '/v0/token' });
      const chunks: Buffer[] = [];
      for await (const chunk of tar) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks).includes(text);
    });
    return seen;
  } catch (error) {
    // It has no such folder, or another of that name.
    if (isAnswer(error, 400, 404)) return false;
    throw error;
  } finally {
    await removeTree(probe);
    await removed(
      daemon.ask('remove a container', (docker) => docker.getContainer(name).remove({ force: true })),
    );
  }
}
