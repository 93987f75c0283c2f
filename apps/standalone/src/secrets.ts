import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError, type Role } from '@morpheo/common';
import { type CredentialEntry, hashSecret } from '@morpheo/service/http';
import { z } from 'zod';

/** Who calls whom in the platform: the operator, and each service that calls another. */
const CALLERS = {
  admin: ['admin'],
  worker: ['worker'],
  'compute-api': ['orchestrator', 'compute'],
  orchestrator: ['orchestrator'],
} as const satisfies Record<string, readonly Role[]>;

/** A caller of the platform. */
export type Caller = keyof typeof CALLERS;

const secretsFile = z.record(z.enum(Object.keys(CALLERS) as [Caller, ...Caller[]]), z.string().min(32));

/** The secret of each caller. */
export type Secrets = z.infer<typeof secretsFile>;

/**
 * The secrets of a data folder: made on first use, kept in `secrets.json`, which nobody but its owner may read.
 * Throws `invalid_request` where the file is there but malformed.
 */
export async function readOrMakeSecrets(folder: string): Promise<Secrets> {
  const path = join(folder, 'secrets.json');
  const made = Object.fromEntries(Object.keys(CALLERS).map((caller) => [caller, randomSecret('hex')]));
  await makeOnce(path, `${JSON.stringify(made, null, 2)}\n`);
  return await readSecrets(path);
}

/**
 * The file with the key of tickets of a data folder, `ticket.key`: made on first use, for its owner alone. More keys may
 * be put before it, a line each.
 */
export async function makeTicketKeyFile(folder: string): Promise<string> {
  const path = join(folder, 'ticket.key');
  await makeOnce(path, `${randomSecret('base64url')}\n`);
  return path;
}

/** Writes a file that nobody but its owner may read; one that is there stays as it is. */
async function makeOnce(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, text, { mode: 0o600, flush: true });
  // A link is made whole or not at all, and never over what is there.
  await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(temporary);
}

/** The callers with their roles, as the services know them: by the hash of their secret. */
export async function credentialEntries(secrets: Secrets): Promise<CredentialEntry[]> {
  const callers = Object.keys(CALLERS) as Caller[];
  return await Promise.all(
    callers.map(async (name) => ({
      name,
      roles: CALLERS[name],
      secretHash: await hashSecret(secrets[name], { isRandom: true }),
    })),
  );
}

async function readSecrets(path: string): Promise<Secrets> {
  const text = await readFile(path, 'utf8');
  try {
    return secretsFile.parse(JSON.parse(text));
  } catch (cause) {
    throw new PlatformError(
      'invalid_request',
      `${path} is not as the platform wrote it. Put it back, or remove it to have new secrets made.`,
      { cause },
    );
  }
}

/** In hexadecimal digits it never begins with a dash, which command lines would take for a flag. */
function randomSecret(encoding: 'hex' | 'base64url'): string {
  return randomBytes(32).toString(encoding);
}
