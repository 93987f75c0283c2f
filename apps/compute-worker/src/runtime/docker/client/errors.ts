import { PlatformError } from '@morpheo/common';
import type { Disk } from '../../../files/disk-full.ts';
import type { DaemonAddress } from './address.ts';

/** The daemon answered with an error: it lives, and it says what it did not like. `disk_full` where that is its disk. */
export class DaemonAnswer extends PlatformError {
  /** Of the answer: 404 where something is not there, 409 where it is in the way, and so on. */
  readonly answer: number;
  /** What it said, one line, as it was. */
  readonly said: string;

  constructor(answer: number, said: string, purpose: string, address: DaemonAddress, cause: unknown) {
    const message = `The Docker daemon at ${address.text} would not ${purpose}: ${said}`;
    if (isFull(said)) super('disk_full', message, { cause, details: { disk: 'docker' satisfies Disk } });
    else super('unavailable', message, { cause });
    this.answer = answer;
    this.said = said;
  }
}

/** Whether a daemon says that its disk is full; a control group that cannot be made is told as no space, too. */
export function isFull(said: string): boolean {
  return /no space left on device|disk quota exceeded/i.test(said) && !/cgroup/i.test(said);
}

/** True for an answer of the daemon, of the given statuses where some are given. */
export function isAnswer(error: unknown, ...statuses: number[]): error is DaemonAnswer {
  return error instanceof DaemonAnswer && (statuses.length === 0 || statuses.includes(error.answer));
}

/** What the client threw, as an error of the platform: a {@link DaemonAnswer}, or `unavailable` with a remedy. */
export function explained(error: unknown, purpose: string, address: DaemonAddress): PlatformError {
  if (error instanceof PlatformError) return error;
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  if (typeof status === 'number' && !PLAIN.test(saidBy(error))) {
    return new DaemonAnswer(status, saidBy(error), purpose, address, error);
  }
  return new PlatformError('unavailable', `${whyAway(error, address)} (It was to ${purpose}.)`, {
    cause: error,
  });
}

/** What a port for TLS says to those who do not speak it. */
const PLAIN = /HTTP request to an HTTPS server/;

function saidBy(error: unknown): string {
  const json = error instanceof Error && 'json' in error ? error.json : undefined;
  const message = typeof json === 'object' && json !== null && 'message' in json ? json.message : undefined;
  const text = typeof message === 'string' ? message : error instanceof Error ? error.message : '';
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 2000);
}

/** Codes of a handshake that fails: by name where Node checks, by the alert where the daemon does. */
const TLS =
  /^(CERT_|ERR_TLS_|ERR_SSL_|EPROTO|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_OSSL_)|alert|certificate/i;

function whyAway(error: unknown, address: DaemonAddress): string {
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  const at = `The Docker daemon at ${address.text}`;
  if (code === 'EACCES' || code === 'EPERM') {
    return `${at} may not be used by this user: add the user to the group of the socket (usually "docker"), or name another daemon with --docker-host.`;
  }
  if (TLS.test(code) || TLS.test(text)) {
    return `${at} and this worker do not accept each other's certificates (${code || text}): see that ca.pem signed the daemon's certificate for this very host name, and that the daemon trusts cert.pem of --docker-cert-path.`;
  }
  if ((PLAIN.test(text) || /HTTP\/|Parse Error|socket hang up/.test(text)) && address.kind === 'tcp') {
    return `${at} does not answer as a Docker daemon does (${text}): if its port is for TLS, give --docker-cert-path.`;
  }
  const why = code === '' ? text : code;
  const start =
    address.kind === 'socket' ? 'start it (systemctl start docker)' : 'start it, or see to the network';
  return `${at} does not answer (${why}): ${start}, or name another with --docker-host.`;
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code === 'string') return code;
  return error instanceof Error && error.name === 'TimeoutError' ? 'no answer in time' : '';
}
