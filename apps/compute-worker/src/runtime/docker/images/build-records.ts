import { PlatformError } from '@morpheo/common';
import { z } from 'zod';
import type { Daemon } from '../client/daemon.ts';
import { explained } from '../client/errors.ts';

/** What the daemon tells of a build, a record at a time. */
export type BuildRecord =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'image'; readonly id: string }
  | { readonly kind: 'error'; readonly message: string };

const LONGEST = 1024 * 1024;

const record = z.looseObject({
  stream: z.string().optional(),
  status: z.string().optional(),
  error: z.string().optional(),
  errorDetail: z.looseObject({ message: z.string().optional() }).optional(),
  aux: z.looseObject({ ID: z.string().optional() }).optional(),
});

/**
 * The same of a daemon's answer, and tells a broken connection from all else that may go wrong while it is read: that is
 * `unavailable`, with the `purpose` that was not reached.
 */
export async function* recordsOf(
  answer: AsyncIterable<unknown>,
  daemon: Daemon,
  purpose: string,
): AsyncGenerator<BuildRecord> {
  async function* named(): AsyncGenerator<unknown> {
    try {
      yield* answer;
    } catch (error) {
      throw explained(error, `${purpose} to its end`, daemon.address);
    }
  }
  yield* readBuildRecords(named());
}

/**
 * Reads the answer to a build: JSON texts, one after the other. A build that fails says so in a record, in an answer
 * of status 200. Throws what `source` throws, and `unavailable` for what is no such answer.
 */
export async function* readBuildRecords(source: AsyncIterable<unknown>): AsyncGenerator<BuildRecord> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of source) {
    if (!(piece instanceof Uint8Array)) throw broken();
    rest += decoder.decode(piece, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST) throw broken();
    for (const line of lines) yield* recordOf(line);
  }
  yield* recordOf(rest);
}

function* recordOf(line: string): Generator<BuildRecord> {
  if (line.trim() === '') return;
  const read = record.safeParse(parsed(line));
  if (!read.success) throw broken(read.error);
  const { stream, status, error, errorDetail, aux } = read.data;
  const message = errorDetail?.message ?? error;
  if (stream !== undefined && stream !== '') yield { kind: 'text', text: stream };
  if (status !== undefined && message === undefined) yield { kind: 'text', text: `${status}\n` };
  if (aux?.ID !== undefined) yield { kind: 'image', id: aux.ID };
  if (message !== undefined) yield { kind: 'error', message };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw broken(error);
  }
}

function broken(cause?: unknown): PlatformError {
  return new PlatformError(
    'unavailable',
    'The Docker daemon tells of a build in a way that is not understood.',
    {
      cause,
    },
  );
}
