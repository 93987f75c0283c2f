import { PlatformError } from '@morpheo/common';
import type { NsqAddress } from './address.ts';
import { type ConnectionOptions, openWriter } from './connection.ts';
import { explain } from './errors.ts';
import { closeNow } from './nsqjs-patches.ts';

/** How long an nsqd has to object to a connection that is being ended, in milliseconds. */
const LAST_WORD_MS = 300;

/**
 * Resolves when one of the nsqds has answered to a connection of its own: one that is open may be to an nsqd that is
 * frozen by now. Rejects with `unavailable` and every reason.
 */
export async function probe(
  addresses: readonly NsqAddress[],
  options: ConnectionOptions,
  signal?: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  try {
    await Promise.any(addresses.map(async (address) => await probeOne(address, options, either)));
  } catch (error) {
    const reasons: unknown[] = error instanceof AggregateError ? error.errors : [error];
    const texts = reasons.map((reason) => (reason instanceof Error ? reason.message : String(reason)));
    throw new PlatformError('unavailable', [...new Set(texts)].join(' '), { cause: error });
  } finally {
    stop.abort();
  }
}

async function probeOne(address: NsqAddress, options: ConnectionOptions, signal: AbortSignal): Promise<void> {
  try {
    const { connection, closed } = await openWriter(address, options, signal);
    // An nsqd that wants TLS of everybody says so only now, at the first command.
    connection.write('NOP\n');
    connection.conn?.end();
    const timer = setTimeout(() => closeNow(connection), LAST_WORD_MS);
    const reason = await closed;
    clearTimeout(timer);
    if (/E_[A-Z]+/.test(String(reason))) throw reason;
  } catch (error) {
    throw explain(address, error);
  }
}
