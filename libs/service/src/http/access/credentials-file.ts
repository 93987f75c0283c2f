import { readFile } from 'node:fs/promises';
import { CREDENTIAL_ROLES, errnoOf, isPlatformError, PlatformError } from '@morpheo/common';
import { z } from 'zod';
import { writeWhole } from './directory-copy.ts';
import { indexCallers } from './known-callers.ts';

const file = z.array(
  z.strictObject({
    name: z.string().min(1),
    roles: z.array(z.enum(CREDENTIAL_ROLES)).min(1),
    secretHash: z.string(),
  }),
);

/** An entry of a credentials file. */
export type FileCredential = z.infer<typeof file>[number];

/**
 * Reads who may call from a JSON file: a list of `{name, roles, secretHash}`, see `hashSecret`. Throws
 * `invalid_request` that names the file, and the place in it, where it cannot be read, or a service could not use it.
 */
export async function readCredentials(path: string): Promise<FileCredential[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw failed(path, 'read', cause);
  });
  return parseCredentials(text, path);
}

/** Reads what stands in the credentials file `path`; throws as {@link readCredentials}. */
export function parseCredentials(text: string, path: string): FileCredential[] {
  const parsed = file.safeParse(parseJson(text, path));
  if (!parsed.success) {
    const problem = z.prettifyError(parsed.error);
    throw invalid(
      `The credentials file ${path} should be a JSON list of {name, roles, secretHash}: ${problem}`,
    );
  }
  try {
    indexCallers(parsed.data);
  } catch (error) {
    if (!isPlatformError(error, 'invalid_request')) throw error;
    throw invalid(`The credentials file ${path}: ${error.message}`, error);
  }
  return parsed.data;
}

/**
 * Writes a credentials file, whole or not at all, readable by this user alone. Throws `invalid_request` where it cannot
 * be written, or a service could not use it.
 */
export async function writeCredentials(path: string, entries: readonly FileCredential[]): Promise<void> {
  const text = `${JSON.stringify(entries, null, 2)}\n`;
  parseCredentials(text, path);
  try {
    await writeWhole(path, text);
  } catch (cause) {
    throw failed(path, 'written', cause);
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What the parser says quotes the file.
    throw invalid(
      `The credentials file ${path} should be a JSON list of {name, roles, secretHash}: It is not JSON.`,
    );
  }
}

function failed(path: string, done: 'read' | 'written', cause: unknown): PlatformError {
  return invalid(
    `The credentials file ${path} cannot be ${done}: ${errnoOf(cause) ?? 'see the log'}.`,
    cause,
  );
}

function invalid(message: string, cause?: unknown): PlatformError {
  return new PlatformError('invalid_request', message, { cause });
}
