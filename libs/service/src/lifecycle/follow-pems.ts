import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { PlatformError } from '@morpheo/common';
import type { Log } from '../log/index.ts';
import { watchFiles } from './watch-files.ts';

/** PEM texts by which two sides of TLS prove who they are. */
export interface PemTexts {
  /** The authorities that the other side's certificate may be from. */
  readonly ca: string;
  /** Ours, with its key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** By what files are followed. */
export interface Follow {
  readonly log: Log;
  /** What is put on it stops following. */
  readonly stack: AsyncDisposableStack;
  /** How often the files are looked at, in milliseconds; see {@link watchFiles}. */
  readonly everyMs?: number | undefined;
}

/**
 * PEM texts as their files hold them at the time: whoever makes a connection reads the members then. Files that are no
 * good do not replace what was read before; see {@link watchFiles}. `settings` names them for the log, and `files` has
 * their paths. Throws `invalid_request` where they are no good at first.
 */
export async function followPems(
  settings: string,
  files: PemTexts,
  { log, stack, everyMs }: Follow,
): Promise<PemTexts> {
  const { ca, cert, key } = files;
  const paths = [ca, ...(cert === undefined || key === undefined ? [] : [cert, key])];
  let now: PemTexts = { ca: '' };
  const changed = ([ca = '', cert, key]: readonly string[]): void => {
    const texts = { ca, cert, key };
    checkPems(settings, texts);
    now = texts;
  };
  stack.use(await watchFiles({ name: `PEM files of ${settings}`, paths, changed, everyMs, log }));
  return {
    get ca() {
      return now.ca;
    },
    get cert() {
      return now.cert;
    },
    get key() {
      return now.key;
    },
  };
}

/** Throws `invalid_request` where an authority cannot be read, or a certificate and a key do not belong together. */
function checkPems(settings: string, { ca, cert, key }: PemTexts): void {
  checkAuthorities(settings, ca);
  if (cert !== undefined && key !== undefined) checkKeyPair({ cert, key });
}

const CERTIFICATE = /-----BEGIN ([A-Z0-9 ]*CERTIFICATE)-----[^-]*-----END \1-----/g;

function checkAuthorities(settings: string, ca: string): void {
  const found = ca.match(CERTIFICATE) ?? [];
  try {
    for (const one of found) new X509Certificate(one);
    // One that is cut off would be passed over.
    if (found.length > 0 && found.length === ca.split('-----BEGIN ').length - 1) return;
  } catch (cause) {
    throw noAuthority(settings, cause);
  }
  throw noAuthority(settings);
}

function noAuthority(settings: string, cause?: unknown): PlatformError {
  const message = `The authority of ${settings} is no PEM text of certificates: write the whole file again.`;
  return new PlatformError('invalid_request', message, { cause });
}

/** Throws `invalid_request` where the PEM texts of a certificate and a key do not belong together, or are none. */
export function checkKeyPair({ cert, key }: { readonly cert: string; readonly key: string }): void {
  const wrong = 'The TLS certificate and key are no pair of PEM texts.';
  try {
    // A server that gets a wrong pair keeps half of it, and takes an empty text for none: then no handshake succeeds.
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
      createSecureContext({ cert, key });
      return;
    }
  } catch (cause) {
    throw new PlatformError('invalid_request', wrong, { cause });
  }
  throw new PlatformError('invalid_request', wrong);
}
