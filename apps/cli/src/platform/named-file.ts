import { readFile } from 'node:fs/promises';
import { errnoOf } from '@morpheo/common';
import { usageError } from '../exit-codes.ts';

/** The bytes of a file that the command line names. Throws a usage error with its path where it cannot be read. */
export async function readNamedFile(file: string): Promise<Buffer> {
  return await readFile(file).catch((error: unknown) => {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    throw usageError(
      `${file} ${code === 'ENOENT' ? 'is not there' : `cannot be read (${code})`}.`,
      undefined,
      error,
    );
  });
}
