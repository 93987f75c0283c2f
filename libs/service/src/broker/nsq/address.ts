import { PlatformError } from '@morpheo/common';
import { z } from 'zod';
import { hasCredentials, withoutCredentials } from '../../config/index.ts';

/** Where a server of NSQ listens. */
export interface NsqAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port`, with an IPv6 address in brackets. Throws `invalid_request`. */
export function parseAddress(text: string): NsqAddress {
  const [, bracketed, plain, digits] = /^(?:\[([\da-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
  throw new PlatformError(
    'invalid_request',
    `${JSON.stringify(withoutCredentials(text).slice(0, 200))} is not an address such as nsqd:4150: write host:port.`,
  );
}

/** The text of an address, as {@link parseAddress} reads it. */
export function formatAddress({ host, port }: NsqAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The base URL of an HTTP address: `host:port`, or a URL as it is. Throws `invalid_request`. */
export function httpBase(text: string): URL {
  if (!/^https?:\/\//.test(text)) return new URL(`http://${formatAddress(parseAddress(text))}`);
  const url = URL.parse(text);
  const shown = JSON.stringify(withoutCredentials(text).slice(0, 200));
  if (hasCredentials(text)) {
    throw new PlatformError('invalid_request', `${shown} has credentials in it, which NSQ has no use for.`);
  }
  if (url !== null) return url;
  throw new PlatformError('invalid_request', `${shown} is not a URL.`);
}

/** A setting that lists addresses `host:port`, separated by commas. */
export const nsqdAddresses = listOf(parseAddress);

/** A setting that lists HTTP addresses, `host:port` or URLs, separated by commas. */
export const nsqHttpAddresses = listOf(httpBase);

function listOf(check: (text: string) => unknown) {
  return z.string().transform((text, ctx): readonly string[] => {
    const items = text.split(',').map((item) => item.trim());
    for (const item of items) {
      try {
        check(item);
      } catch (error) {
        ctx.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      }
    }
    return items;
  });
}
