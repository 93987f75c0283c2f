import { readFile } from 'node:fs/promises';
import { CREDENTIAL_ROLES, PlatformError } from '@morpheo/common';
import { z } from 'zod';
import type { CredentialEntry } from './known-callers.ts';

const file = z.array(
  z.strictObject({
    name: z.string().min(1),
    roles: z.array(z.enum(CREDENTIAL_ROLES)).min(1),
    secretHash: z.string(),
  }),
);

/**
 * Reads who may call from a JSON file: a list of `{name, roles, secretHash}`, see `hashSecret`. Throws
 * `invalid_request` that names the file, and the place in it, where it cannot be read or does not fit.
 */
export async function readCredentials(path: string): Promise<CredentialEntry[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new PlatformError('invalid_request', `The credentials file ${path} cannot be read.`, { cause });
  });
  return parseCredentials(text, path);
}

/** Reads what stands in the credentials file `path`; throws as {@link readCredentials}. */
export function parseCredentials(text: string, path: string): CredentialEntry[] {
  const parsed = file.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new PlatformError(
    'invalid_request',
    `The credentials file ${path} should be a JSON list of {name, roles, secretHash}: ${z.prettifyError(parsed.error)}`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
