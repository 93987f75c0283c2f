import { PlatformError } from '@morpheo/common';
import { formatAddress, type NsqAddress } from './address.ts';

/** nsqd closed the connection and gave no reason. */
export const CLOSED = 'the connection was closed';
/** What listens there does not answer. */
export const SILENT = 'nothing was answered';
/** TLS is wanted, and nsqd has none. */
export const NO_TLS = 'it offers no TLS';
/** nsqd wants a secret, and none is given. */
export const NO_SECRET = 'it wants a secret';

/** nsqd was told to take smaller messages than others do; it closes the connection after it has said so. */
const TOO_BIG = /message too big/;

type Rule = readonly [pattern: RegExp, what: string, remedy: string];

/** Checked in this order against the error's code and message. */
const RULES: readonly Rule[] = [
  [/ECONNREFUSED/, 'refuses connections', 'start it, or correct the address (nsqd listens at 4150, usually)'],
  [/ENOTFOUND|EAI_AGAIN/, 'has a name that is not known', 'correct the host, or mend the name service'],
  [/EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/, 'is not reached', 'mend the network, or correct the address'],
  [
    /nothing was answered/,
    'takes connections and says nothing',
    'it is frozen, overloaded or no nsqd; look at it, or correct the address',
  ],
  [/offers no TLS/, 'offers no TLS', 'give it a certificate, or leave the TLS settings out'],
  [/TLS required/i, 'takes TLS connections alone', 'give --nsq-ca'],
  [
    /CERT|certificate|ERR_TLS|ERR_SSL|SSL routines/i,
    'and we do not trust each other',
    'correct --nsq-ca, --nsq-cert and --nsq-key, or its certificate',
  ],
  [
    /wants a secret|E_AUTH|E_UNAUTHORIZED|E_AUTH_FIRST/,
    'does not accept our secret for this',
    'correct --nsq-secret, or what the secret permits',
  ],
  [/the connection was closed|ECONNRESET|EPIPE/, 'closed the connection', 'look at its log'],
  [TOO_BIG, 'takes no message of this size', 'publish an id in its place, or raise its --max-msg-size'],
  [/E_[A-Z_]+/, 'refuses us', 'look at its log'],
];

/**
 * What is wrong with an nsqd and what to do, in one line; the error of the connection is its cause. It is `unavailable`,
 * or `too_large` where a message was.
 */
export function explain(address: NsqAddress, cause: unknown): PlatformError {
  const text = causeText(cause);
  const [, what, remedy] = RULES.find(([pattern]) => pattern.test(text)) ?? [
    undefined,
    'does not speak as an nsqd does',
    'correct the address',
  ];
  const message = `nsqd at ${formatAddress(address)} ${what} (${text}): ${remedy}.`;
  return new PlatformError(TOO_BIG.test(text) ? 'too_large' : 'unavailable', message, { cause });
}

/** Whether what {@link explain} says is that nsqd answers, and refuses what it is asked for (a code of its protocol). */
export function isRefusal(message: string): boolean {
  return /\bE_[A-Z]+/.test(message);
}

/** What an error says, in one short line. */
export function causeText(cause: unknown): string {
  if (!(cause instanceof Error)) return oneLine(String(cause));
  // Node joins the tries at several addresses of a host in an error without a text.
  const all: readonly unknown[] = cause instanceof AggregateError ? cause.errors : [cause];
  const texts = all.map((error) => (error instanceof Error ? withCode(error) : String(error)));
  return oneLine([...new Set(texts)].join(', '));
}

function withCode(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return error.message.includes(code) ? error.message : `${code} ${error.message}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 200);
}
