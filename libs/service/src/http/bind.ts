import type { RequestListener } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { PlatformError } from '@morpheo/common';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** True for a name or address that only this machine can reach: `localhost`, 127.0.0.0/8 and ::1. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (bare === 'localhost' || bare.endsWith('.localhost')) return true;
  const version = isIP(bare);
  return version !== 0 && loopback.check(bare, version === 6 ? 'ipv6' : 'ipv4');
}

/** What decides whether a service may listen where it is told to. */
export interface OpenListen {
  /** The name or address to listen on. */
  readonly host: string;
  /** True where every route that is not public asks for credentials. */
  readonly authenticated: boolean;
  /** True where the operator said in plain words that anybody may call. */
  readonly acknowledged: boolean;
  /** The setting that says so, to be named in the refusal. */
  readonly setting?: string;
}

/**
 * Refuses to serve the network without authentication: throws `invalid_request` when `host` is reachable from other
 * machines, nobody is asked for credentials, and the operator has not acknowledged it. Call it before `listen`.
 */
export function refuseOpenListen({ host, authenticated, acknowledged, setting }: OpenListen): void {
  if (authenticated || acknowledged || isLoopback(host)) return;
  throw new PlatformError(
    'invalid_request',
    `Refusing to listen on ${host} without authentication: anybody who reaches it could use this service. ` +
      `Set up credentials, listen on 127.0.0.1${setting === undefined ? '' : `, or allow it in plain words with ${setting}`}.`,
  );
}

/**
 * Lets only requests pass whose `Host` names one of `hosts`, so that a page cannot reach a service through a name of
 * its own that it points here (DNS rebinding). Every loopback name counts as `localhost`. Undefined lets all pass.
 */
export function hostGuard(
  hosts: readonly string[] | undefined,
  pass: RequestListener,
  refuse: RequestListener,
): RequestListener {
  if (hosts === undefined) return pass;
  const known = new Set(hosts.map((host) => host.toLowerCase()));
  return (request, response) => {
    const name = nameOf(request.headers.host);
    const allowed = name === undefined || known.has(name) || (known.has('localhost') && isLoopback(name));
    if (allowed) pass(request, response);
    else refuse(request, response);
  };
}

/** The name in a `Host` field, without port and brackets; undefined where there is none (HTTP/1.0: no browser). */
function nameOf(field: string | undefined): string | undefined {
  return field
    ?.replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
}
