import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { requireProgram } from './place.ts';

const run = promisify(execFile);

/** A certificate and its key: the paths of PEM files, and what they hold. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** An authority of a test, in a folder that goes with it. */
export interface Authority extends AsyncDisposable {
  readonly caFile: string;
  readonly ca: string;
  /** Makes a certificate for names such as `DNS:localhost` and `IP:127.0.0.1`; it serves both sides of TLS. */
  certify(name: string, alternatives: string): Promise<Certificate>;
}

/** Makes an authority that lasts for a day. */
export async function createAuthority(): Promise<Authority> {
  const openssl = requireProgram('openssl');
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-certificates-'));
  async function make(name: string, ...further: string[]): Promise<Certificate> {
    const certFile = join(folder, `${name}.pem`);
    const keyFile = join(folder, `${name}.key`);
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
    const files = ['-subj', `/CN=${name}`, '-keyout', keyFile, '-out', certFile];
    await run(openssl, ['req', '-x509', ...kind, ...files, ...further]);
    return {
      certFile,
      keyFile,
      cert: await readFile(certFile, 'utf8'),
      key: await readFile(keyFile, 'utf8'),
    };
  }
  const own = await make('authority');
  const signed = [
    '-CA',
    own.certFile,
    '-CAkey',
    own.keyFile,
    '-addext',
    'basicConstraints=critical,CA:FALSE',
  ];
  return {
    caFile: own.certFile,
    ca: own.cert,
    certify: async (name, alternatives) =>
      await make(name, ...signed, '-addext', `subjectAltName=${alternatives}`),
    [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true, force: true }),
  };
}
