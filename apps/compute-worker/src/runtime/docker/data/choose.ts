import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '@morpheo/service/log';
import { removeTree } from '../../../files/remove-tree.ts';
import { Container } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import { LABELS, type Owner } from '../labels.ts';
import { archives } from './archives.ts';
import { dataImage } from './data-image.ts';
import { sharedFolders } from './shared-folders.ts';
import type { ContainerUser, DataTransport } from './transport.ts';

/** How data gets into containers: see `DataTransport`; `auto` looks which of them is possible. */
export type DataChoice = 'shared' | 'archive' | 'auto';

/** What {@link chooseTransport} works with. */
export interface TransportOptions {
  readonly probe: FolderProbe;
  readonly choice: DataChoice;
  readonly workerUid: number;
  readonly log: Log;
}

/** The way of data that is chosen, or found. Throws where the daemon has to be asked for it and does not answer. */
export async function chooseTransport(options: TransportOptions): Promise<DataTransport> {
  const { probe, choice, workerUid, log } = options;
  const { daemon, user } = probe;
  const isShared = choice === 'shared' || (choice === 'auto' && (await seesFolder(probe)));
  const transport = isShared ? sharedFolders(user, workerUid) : archives(daemon, user);
  const how = isShared
    ? 'in folders that it sees as well'
    : "as archives: it sees none of the worker's folders";
  log.info({ docker: daemon.address.text, data: transport.kind }, `Data goes to Docker ${how}`);
  return transport;
}

/** What the search for a shared folder works with. */
export interface FolderProbe {
  readonly daemon: Daemon;
  /** A folder of the worker; a file is made in it and removed. */
  readonly folder: string;
  readonly user: ContainerUser;
  readonly owner: Owner;
}

/**
 * Whether the daemon has a folder of the worker at the same path: a file with a random text is put there, and the daemon is
 * asked for it through a container that is created and never started. Throws where the daemon does not answer.
 */
async function seesFolder({ daemon, folder, user, owner }: FolderProbe): Promise<boolean> {
  await mkdir(folder, { recursive: true });
  const probe = await mkdtemp(join(folder, 'probe-'));
  const container = new Container(daemon, `morpheo-probe-${randomUUID()}`);
  const text = randomUUID();
  try {
    await writeFile(join(probe, 'token'), text);
    const image = await dataImage(daemon, user);
    const Mounts = [{ Type: 'bind' as const, Source: probe, Target: '/v0', ReadOnly: true }];
    await container.create({
      Image: image,
      Labels: { [LABELS.worker]: owner.worker, [LABELS.boot]: owner.boot },
      NetworkDisabled: true,
      HostConfig: { NetworkMode: 'none', Mounts },
    });
    return await daemon.ask('show a file', async (docker) => {
      const tar = await docker.getContainer(container.name).getArchive({ path: '/v0/token' });
      const chunks: Buffer[] = [];
      for await (const chunk of tar) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks).includes(text);
    });
  } catch (error) {
    // It has no such folder, or another of that name.
    if (isAnswer(error, 400, 404)) return false;
    throw error;
  } finally {
    await removeTree(probe);
    await container.remove();
  }
}
