import type { RequestListener } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { PlatformError } from '@morpheo/common';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** True for a name or address that only this machine can reach: `localhost`, 127.0.0.0/8 and ::1. */
export function isLoopback(host: string): boolean {
  const bare = bareName(host);
  if (bare === 'localhost' || bare.endsWith('.localhost')) return true;
  const version = isIP(bare);
  return version !== 0 && loopback.check(bare, version === 6 ? 'ipv6' : 'ipv4');
}

/** What decides whether strangers may call a service by any name. */
export interface OpenIntake {
  /** The name or address that it listens on. */
  readonly host: string;
  readonly hosts: readonly string[] | undefined;
  /** True where some calls are answered without credentials that do something. */
  readonly open: boolean;
}

/**
 * What is wrong with a service that acts without credentials, is reachable from other machines and answers to any
 * name: a web page could then act through the browser of whoever reaches it. Undefined where nothing is.
 */
export function openIntakeProblem({ host, hosts, open }: OpenIntake): string | undefined {
  if (!open || hosts !== undefined || isLoopback(host)) return undefined;
  return `Callers without credentials are served on ${host}, so any web page could call through somebody's browser (DNS rebinding): name the hosts by which clients call with --hosts, such as --hosts compute.example.org.`;
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

/** By which names a service may be called. */
export interface HostRules {
  /** The name or address that it listens on. */
  readonly host: string;
  /** Further names and addresses, without port. Beyond loopback any name is good where absent. */
  readonly hosts?: readonly string[] | undefined;
}

/**
 * Lets only requests pass whose `Host` is a name of the service, so that a page cannot reach it through a name of its
 * own that it points here (DNS rebinding). Those of loopback always are: they lead to the caller's own machine. Beyond
 * loopback addresses are, too: what a page is called by is a name that can lead elsewhere later, an address cannot.
 */
export function hostGuard(
  { host, hosts }: HostRules,
  pass: RequestListener,
  refuse: RequestListener,
): RequestListener {
  const onLoopback = isLoopback(host);
  if (!onLoopback && hosts === undefined) return pass;
  const known = new Set([host, ...(hosts ?? [])].map(bareName));
  return (request, response) => {
    const name = nameOf(request.headers.host);
    const isGood = (one: string) => known.has(one) || isLoopback(one) || (!onLoopback && isIP(one) !== 0);
    if (name === undefined || isGood(name)) pass(request, response);
    else refuse(request, response);
  };
}

/** A name has at most 253 characters (RFC 1035 §2.3.4), and a port 5. */
const LONGEST_HOST = 300;

/** The name in a `Host` field, without port and brackets; undefined where there is none (HTTP/1.0: no browser). */
function nameOf(field: string | undefined): string | undefined {
  if (field !== undefined && field.length > LONGEST_HOST) return '';
  return field === undefined ? undefined : bareName(field.replace(/:\d*$/, ''));
}

function bareName(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
}
