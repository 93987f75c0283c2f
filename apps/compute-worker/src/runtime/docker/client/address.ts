import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { withoutCredentials } from '@morpheo/service/config';
import { type Follow, followPems } from '@morpheo/service/lifecycle';

/** Where a Docker daemon listens. */
export type DaemonAddress =
  | { readonly kind: 'socket'; readonly path: string; readonly text: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly text: string };

/** What the worker and a daemon prove to each other who they are with: PEM texts, which may change. */
export interface DaemonCertificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Where the daemon of a Debian or Red Hat machine listens. */
export const DEFAULT_ADDRESS = 'unix:///var/run/docker.sock';

const PLAIN_PORT = 2375;
const TLS_PORT = 2376;

/**
 * Reads an address as `DOCKER_HOST` has it: `unix:///path`, `tcp://host:port` or `host:port`. Without a port it is
 * Docker's own: 2376 with certificates, 2375 without. Throws `invalid_request` that says what is expected.
 */
export function readAddress(text: string, tls: boolean): DaemonAddress {
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length);
    if (path.startsWith('/')) return { kind: 'socket', path, text };
    throw refused(text, 'the path of a socket must be absolute');
  }
  if (text.startsWith('/')) throw refused(text, `for a socket write unix://${text}`);
  const plain = /^[a-z]+:\/\//i.test(text) ? text : `tcp://${text}`;
  if (plain.startsWith('ssh://')) throw refused(text, 'ssh is not spoken here; forward the socket instead');
  const url = URL.parse(plain.replace(/^(tcp|https?):/i, 'http:'));
  if (url === null || !/^(tcp|https?):/i.test(plain) || url.hostname === '') {
    throw refused(text, 'it names no host');
  }
  if (url.pathname !== '/' || url.search !== '' || url.username !== '') {
    throw refused(text, 'nothing may follow the port');
  }
  // `URL` drops 80, which is the default of the scheme that it was given here.
  const written = /:(\d+)\/?$/.exec(plain)?.[1];
  const port = written === undefined ? (tls ? TLS_PORT : PLAIN_PORT) : Number(written);
  return { kind: 'tcp', host: url.hostname, port, text };
}

function refused(text: string, why: string): PlatformError {
  const expected = `such as ${DEFAULT_ADDRESS} or tcp://docker.example:${TLS_PORT}`;
  return new PlatformError(
    'invalid_request',
    `--docker-host ${withoutCredentials(text)} cannot be used: ${why}. Give an address ${expected}.`,
  );
}

/**
 * Reads `ca.pem`, `cert.pem` and `key.pem` of a folder, as `DOCKER_CERT_PATH` has them; they are as the files hold them at
 * the time. Throws `invalid_request` naming the file that is missing or is none.
 */
export async function followCertificates(folder: string, follow: Follow): Promise<DaemonCertificates> {
  const files = {
    ca: join(folder, 'ca.pem'),
    cert: join(folder, 'cert.pem'),
    key: join(folder, 'key.pem'),
  };
  for (const path of Object.values(files)) await readPem(path);
  const pems = await followPems('--docker-cert-path', files, follow);
  return {
    get ca() {
      return pems.ca;
    },
    get cert() {
      return pems.cert ?? '';
    },
    get key() {
      return pems.key ?? '';
    },
  };
}

async function readPem(path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new PlatformError(
      'invalid_request',
      `${path} cannot be read. --docker-cert-path must name a folder with ca.pem, cert.pem and key.pem.`,
      { cause },
    );
  });
  if (text.includes('-----BEGIN ')) return;
  throw new PlatformError('invalid_request', `${path} is no PEM file: it has no line "-----BEGIN ...".`);
}
