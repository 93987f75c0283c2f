import { open } from 'node:fs/promises';
import { z } from 'zod';
import { usageError } from '../exit-codes.ts';

const url = z.url({ protocol: /^https?$/ });

const connection = z.object({
  storage: url.optional(),
  compute: url.optional(),
  orchestrator: url.optional(),
  shepherd: url.optional(),
  dicebox: url.optional(),
  classification: url.optional(),
  api_key: z.string().optional(),
  credentials: z.object({ name: z.string().min(1), secret: z.string().min(1) }).optional(),
});

/** Where a platform on this machine listens, and credentials that it knows, as it wrote them when it started. */
export type Connection = z.infer<typeof connection>;

const OPEN_TO_OTHERS = 0o077;

/**
 * Reads `connection.json`; null where there is none. The file holds a secret: one that other users of the machine may
 * read or write is refused, for then the secret is known, or the addresses are somebody else's.
 */
export async function readConnection(path: string): Promise<Connection | null> {
  await using handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw usageError(
      `${path} cannot be read: ${error.message}`,
      'Let your user read it, or name another folder with --home.',
      error,
    );
  });
  if (handle === null) return null;
  const { mode } = await handle.stat();
  if (process.platform !== 'win32' && (mode & OPEN_TO_OTHERS) !== 0) {
    throw usageError(
      `${path} holds a secret, and other users may read it (mode ${(mode & 0o777).toString(8)}).`,
      `Run "chmod 600 ${path}"; where others may have read it, make a new secret as well.`,
    );
  }
  return parse(await handle.readFile('utf8'), path);
}

function parse(text: string, path: string): Connection {
  try {
    return connection.parse(JSON.parse(text));
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    const problem = issue === undefined ? 'not JSON' : `${issue.path.join('.')}: ${issue.message}`;
    throw usageError(
      `${path} is malformed (${problem}).`,
      'Remove it and start the platform again with "morpheo up".',
      cause,
    );
  }
}
