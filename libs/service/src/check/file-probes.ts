import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { PlatformError } from '@morpheo/common';
import { readCredentials } from '../http/index.ts';
import type { Probe } from './run-check.ts';

const GIB = 1024 ** 3;

/** Whether this user may write to a folder, or could make it; and how much room its disk has. */
export function folderProbe(path: string): Probe {
  return {
    ask: async () => {
      const folder = resolve(path);
      const there = await nearest(folder);
      await mayWrite(there);
      const { bavail, bsize } = await statfs(there);
      const room = `${((bavail * bsize) / GIB).toFixed(1)} GiB free`;
      return there === folder ? `${folder}, ${room}` : `${folder} will be made, ${room}`;
    },
    remedy: 'Name another folder, or give this user access to it.',
  };
}

/** Whether the file of callers can be read. */
export function credentialsProbe(file: string): Probe {
  return { ask: async () => `${file} names ${(await readCredentials(file)).length} callers` };
}

/** Whether certificate and key can be read, and belong together. */
export function tlsProbe(certificate: string, key: string): Probe {
  return {
    ask: async () => {
      createSecureContext({ cert: await readFile(certificate), key: await readFile(key) });
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

async function mayWrite(folder: string): Promise<void> {
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new PlatformError('unavailable', `This user may not write to ${folder}.`, { cause });
  }
}
