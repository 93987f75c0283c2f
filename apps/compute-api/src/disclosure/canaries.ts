import { CanarySearch, type CanaryStream } from '@morpheo/common';
import type { LogEntry } from '../attempts/log-store.ts';

/** A canary in a log: its number in the list of the problem, and what printed it. */
export interface LogHit {
  readonly number: number;
  readonly step: string;
}

/**
 * Looks for canaries in a log, in what each step of each attempt has printed to each of its streams: a string that was
 * printed in pieces is found as well. Undefined where there are none.
 */
export async function findInLog(
  canaries: readonly string[],
  entries: AsyncIterable<LogEntry>,
): Promise<LogHit | undefined> {
  if (canaries.length === 0) return undefined;
  const search = new CanarySearch(canaries);
  const streams = new Map<string, CanaryStream>();
  for await (const { chunk } of entries) {
    const { attempt, step, stream: name } = chunk;
    const key = `${attempt} ${step} ${name}`;
    const stream = streams.get(key) ?? search.begin();
    streams.set(key, stream);
    stream.add(Buffer.from(chunk.text));
    if (stream.hit !== undefined) return { number: stream.hit, step };
  }
  return undefined;
}
