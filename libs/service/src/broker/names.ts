import { PlatformError } from '@morpheo/common';
import type { Subscribe } from './broker.ts';

/** The longest message, in bytes of UTF-8: what nsqd takes unless it was told otherwise (`--max-msg-size`). */
export const MOST_MESSAGE_BYTES = 1024 * 1024;

/** Throws `invalid_request` unless it is a name that every broker takes as it is. */
export function checkName(what: 'topic' | 'channel', name: string): void {
  if (/^[.a-zA-Z0-9_-]{1,64}$/.test(name)) return;
  throw new PlatformError(
    'invalid_request',
    `The ${what} ${JSON.stringify(name.slice(0, 80))} is not a name of 1 to 64 letters, digits, ".", "_" or "-".`,
  );
}

/** What may come after the name of a channel, for brokers that mark transient ones. */
const TRANSIENT_MARK_LENGTH = 10;

/** Throws `invalid_request` unless topic and channel are names. */
export function checkNames({ topic, channel, transient = false }: Subscribe): void {
  checkName('topic', topic);
  checkName('channel', transient ? channel + '-'.repeat(TRANSIENT_MARK_LENGTH) : channel);
}

/** Throws `invalid_request` for an empty message, and `too_large` for one that no broker takes. */
export function checkMessage(message: string): void {
  if (message === '') throw new PlatformError('invalid_request', 'An empty message cannot be published.');
  const bytes = Buffer.byteLength(message);
  if (bytes <= MOST_MESSAGE_BYTES) return;
  throw new PlatformError(
    'too_large',
    `The message has ${bytes} bytes, and ${MOST_MESSAGE_BYTES} are allowed: publish an id, not the data.`,
  );
}
