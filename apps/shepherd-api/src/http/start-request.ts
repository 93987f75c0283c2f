import { type BytesIn, PlatformError, type StartJob, startJob } from '@morpheo/common';
import type { z } from 'zod';
import type { Payload } from '../jobs/payload.ts';
import { withoutPayload } from './json-body.ts';

/**
 * Reads the body of `/start-job`; its payload goes into `payload` where it is a text, of any length. Throws `invalid_request`
 * in the words of the original: `Invalid input:`, and an object of what is wrong with each member.
 */
export async function readStartJob(
  { body, contentType: type }: Pick<BytesIn, 'body' | 'contentType'>,
  payload: Payload,
): Promise<StartJob> {
  if (type !== undefined && !/^application\/json\s*(?:;|$)/i.test(type)) {
    throw refused('The request must have the content type application/json');
  }
  const read = startJob.safeParse(objectOf(await withoutPayload(body, payload)));
  if (read.success) return read.data;
  throw refused(`Invalid input: ${JSON.stringify(problemsOf(read.error.issues))}`);
}

function objectOf(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refused('The request body must be a JSON object', cause);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw refused('The request body must be a JSON object');
}

/** What is wrong, by member, as the original's models say it. */
function problemsOf(issues: readonly z.core.$ZodIssue[]): Record<string, unknown> {
  const problems: Record<string, unknown> = {};
  for (const issue of issues) {
    const [first = 'body', second] = [
      ...issue.path,
      ...(issue.code === 'unrecognized_keys' ? issue.keys : []),
    ].map(String);
    const word = wordOf(issue);
    if (second === undefined) problems[first] = issue.code === 'unrecognized_keys' ? word : [word];
    else problems[first] = { ...Object(problems[first]), [second]: word };
  }
  return problems;
}

function wordOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return 'Rogue field';
  const isMissing =
    issue.code === 'invalid_union'
      ? issue.input === undefined
      : issue.input === undefined && issue.code === 'invalid_type';
  return isMissing ? 'This field is required.' : 'Not a text.';
}

function refused(message: string, cause?: unknown): PlatformError {
  return new PlatformError('invalid_request', message, { cause });
}
