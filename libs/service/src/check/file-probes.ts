import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { errnoOf, PlatformError } from '@morpheo/common';
import { type CredentialEntry, createCallers, openTicketKeys, readCredentials } from '../http/index.ts';
import { checkKeyPair } from '../lifecycle/index.ts';
import type { Probe } from './run-check.ts';

const GIB = 1024 ** 3;

/** Whether this user may write to a folder and those of the given names inside, or could make them; and the room there. */
export function folderProbe(path: string, inside: readonly string[] = []): Probe {
  return {
    ask: async () => {
      const folder = resolve(path);
      const there = await requireWritable(folder);
      for (const name of inside) await requireWritable(join(folder, name));
      const { bavail, bsize } = await statfs(there);
      const room = `${((bavail * bsize) / GIB).toFixed(1)} GiB free`;
      return there === folder ? `${folder}, ${room}` : `${folder} will be made, ${room}`;
    },
    remedy: 'Name another folder, or give this user access to it.',
  };
}

/**
 * Resolves where this user may write to a folder, or could make it, with the folder or the closest one above it that is
 * there. Throws `unavailable`, which names what is in the way.
 */
export async function requireWritable(path: string): Promise<string> {
  const there = await nearest(resolve(path));
  try {
    await access(there, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const why = errnoOf(cause) === 'EROFS' ? 'its disk may only be read' : 'this user may not';
    throw new PlatformError('unavailable', `Nothing can be written to ${there}: ${why}.`, { cause });
  }
  return there;
}

/** Whether the file of callers is as the start needs it; `others` are known beside those of the file. */
export function credentialsProbe(
  file: string,
  others: () => Promise<readonly CredentialEntry[]> = async () => [],
): Probe {
  return {
    ask: async () => {
      const entries = await readCredentials(file);
      createCallers([...entries, ...(await others())]);
      return `${file} names ${entries.length} callers`;
    },
  };
}

/** Whether the file of ticket keys is as the start needs it; what to warn of where none is given. */
export function ticketKeysProbe(file: string | undefined, unsaid?: string): Probe {
  if (file === undefined) return { ask: async () => 'none', warn: async () => unsaid };
  return {
    ask: async () => {
      const keys = await openTicketKeys(file, () => undefined);
      return `${file} holds ${(await keys()).length}`;
    },
  };
}

/** Whether certificate and key can be read, and belong together. */
export function tlsProbe(certificate: string, key: string): Probe {
  return {
    ask: async () => {
      checkKeyPair({ cert: await readFile(certificate, 'utf8'), key: await readFile(key, 'utf8') });
      return certificate;
    },
    remedy: 'Correct --cert and --key: PEM files that belong together.',
  };
}

/** The folder, or the closest one above it that is there. */
async function nearest(folder: string): Promise<string> {
  const stats = await stat(folder).catch(() => undefined);
  if (stats?.isDirectory() === true) return folder;
  if (stats !== undefined) throw new PlatformError('unavailable', `${folder} is no folder.`);
  const above = dirname(folder);
  return above === folder ? folder : await nearest(above);
}
