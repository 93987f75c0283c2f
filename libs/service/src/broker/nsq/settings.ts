import { readFile } from 'node:fs/promises';
import { PlatformError } from '@morpheo/common';
import { z } from 'zod';
import type { Secret } from '../../config/index.ts';
import { type Follow, followPems } from '../../lifecycle/index.ts';
import type { NsqSecurity } from './connection.ts';

const file = z.string().min(1).optional();

/** The settings by which a service is let in at nsqd; `prefix` begins the names of their variables. */
export function nsqSecuritySettings(prefix: string) {
  return {
    nsqCa: {
      flag: 'nsq-ca',
      env: `${prefix}NSQ_CA`,
      schema: file,
      help: 'PEM file of the authority that nsqd’s certificate is from: connections to nsqd are TLS then.',
    },
    nsqCert: {
      flag: 'nsq-cert',
      env: `${prefix}NSQ_CERT`,
      schema: file,
      help: 'PEM file of our certificate, where nsqd wants one.',
    },
    nsqKey: {
      flag: 'nsq-key',
      env: `${prefix}NSQ_KEY`,
      schema: file,
      help: 'PEM file of the key of --nsq-cert.',
    },
    nsqSecret: {
      flag: 'nsq-secret',
      env: `${prefix}NSQ_SECRET`,
      schema: file,
      secret: true,
      help: 'What nsqd’s authentication server is told.',
    },
  } as const;
}

/** The values of {@link nsqSecuritySettings}. */
export interface NsqSecurityValues {
  readonly nsqCa: string | undefined;
  readonly nsqCert: string | undefined;
  readonly nsqKey: string | undefined;
  readonly nsqSecret: Secret<string> | undefined;
}

/** What contradicts in the values; `used` is whether the service has been told of an NSQ at all. */
export function nsqSecurityProblems(values: NsqSecurityValues, used: boolean): string[] {
  const { nsqCa, nsqCert, nsqKey, nsqSecret } = values;
  if (!used) {
    const given = [nsqCa, nsqCert, nsqKey, nsqSecret].some((value) => value !== undefined);
    return given ? ['--nsq-ca, --nsq-cert, --nsq-key and --nsq-secret are given, but no NSQ is.'] : [];
  }
  const problems: string[] = [];
  if ((nsqCert === undefined) !== (nsqKey === undefined)) {
    problems.push('--nsq-cert and --nsq-key belong together: give both, or neither.');
  }
  if (nsqCert !== undefined && nsqCa === undefined) {
    problems.push('--nsq-cert is for TLS, which --nsq-ca begins: give --nsq-ca too.');
  }
  return problems;
}

/**
 * Reads the PEM files that the values name; new connections take what they hold at the time, where `follow` is given. Throws
 * `invalid_request` for one that cannot be read.
 */
export async function readNsqSecurity(values: NsqSecurityValues, follow?: Follow): Promise<NsqSecurity> {
  const { nsqCa, nsqCert, nsqKey, nsqSecret: secret } = values;
  if (nsqCa === undefined) return { secret };
  const [ca, cert, key] = await Promise.all([
    readPem('--nsq-ca', nsqCa),
    nsqCert === undefined ? undefined : readPem('--nsq-cert', nsqCert),
    nsqKey === undefined ? undefined : readPem('--nsq-key', nsqKey),
  ]);
  if (follow === undefined) return { tls: { ca, cert, key }, secret };
  const files = { ca: nsqCa, cert: nsqCert, key: nsqKey };
  return { tls: await followPems('--nsq-ca, --nsq-cert and --nsq-key', files, follow), secret };
}

async function readPem(flag: string, path: string): Promise<string> {
  try {
    const text = await readFile(path, 'utf8');
    if (text.includes('-----BEGIN ')) return text;
    throw new Error(`${path} holds no PEM text`);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PlatformError('invalid_request', `${flag}: ${reason}; give the path of a PEM file.`, { cause });
  }
}
