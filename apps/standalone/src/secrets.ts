import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
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
  shepherd: ['orchestrator', 'uploader'],
  dicebox: ['orchestrator', 'uploader', 'reader'],
} as const satisfies Record<string, readonly Role[]>;

/** A caller of the platform. */
export type Caller = keyof typeof CALLERS;

const secret = z.string().min(32);
const secretsFile = z.record(z.enum(Object.keys(CALLERS) as [Caller, ...Caller[]]), secret);

/** The secret of each caller. */
export type Secrets = z.infer<typeof secretsFile>;

/**
 * The secrets of a data folder: made on first use, kept in `secrets.json`, which nobody but its owner may read.
 * One of an earlier version gets those of the callers that it does not know. Throws `invalid_request` where the file is
 * there but malformed.
 */
export async function readOrMakeSecrets(folder: string): Promise<Secrets> {
  const path = join(folder, 'secrets.json');
  const made = Object.fromEntries(Object.keys(CALLERS).map((caller) => [caller, randomSecret('hex')]));
  await makeOnce(path, textOf(made));
  const kept = await readKept(path);
  const secrets = checked(path, () => secretsFile.parse({ ...made, ...kept }));
  if (Object.keys(CALLERS).some((caller) => !(caller in kept))) await replace(path, textOf(secrets));
  return secrets;
}

function textOf(secrets: Readonly<Record<string, string>>): string {
  return `${JSON.stringify(secrets, null, 2)}\n`;
}

/** Writes a file anew, for its owner alone; whole or not at all. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
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

async function readKept(path: string): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(path, 'utf8');
  return checked(path, () => z.record(z.string(), secret).parse(JSON.parse(text)));
}

function checked<T>(path: string, read: () => T): T {
  try {
    return read();
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
