import { readFileSync } from 'node:fs';
import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';
import { basename } from 'node:path';

const PATIENCE_MS = 4000;

/** The settings that say where a service listens; every service has them. */
export interface Place {
  readonly host: string;
  readonly port?: number | undefined;
  /** The file of the certificate, where it speaks HTTPS. */
  readonly cert?: string | undefined;
}

/** The reader of a service's settings. */
export type LoadPlace = (
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
) => { readonly kind: 'settings'; readonly values: Place } | { readonly kind: 'check' | 'help' | 'version' };

/**
 * Asks the service that this container runs whether it is well, says so, and ends the process with 0 or 1: an image's
 * HEALTHCHECK. Where it listens is read from the settings of the container's first process, flags and environment.
 */
export async function tellHealth(load: LoadPlace): Promise<void> {
  const given = process.argv.slice(3);
  try {
    const loaded = load(given.length > 0 ? given : flagsOfFirstProcess(), process.env);
    if (loaded.kind !== 'settings') throw new Error('the service only shows a text');
    process.stdout.write(`${await askHealth(loaded.values)}\n`);
  } catch (error) {
    process.stderr.write(`unwell: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

/** Asks `/health`; resolves with what it answers, and throws where that is not 200 or does not come in 4 seconds. */
export async function askHealth({ host, port, cert }: Place): Promise<string> {
  if (port === undefined) return 'it listens nowhere, so there is nobody to ask';
  const address = { host: reachable(host), port, path: '/health', timeout: PATIENCE_MS };
  return await new Promise((resolve, reject) => {
    const request =
      cert === undefined
        ? getPlain(address)
        : // Its own certificate, and no other, is what is trusted; it is made out to a name, and we call an address.
          getSecure({ ...address, ...trustIn(cert) });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)));
    request.on('error', reject);
    request.on('response', (response) => {
      response.resume();
      if (response.statusCode === 200) resolve(`well: ${address.host}:${port}`);
      else reject(new Error(`it answers ${response.statusCode}`));
    });
  });
}

function trustIn(cert: string) {
  return { ca: readFileSync(cert), allowPartialTrustChain: true, checkServerIdentity: () => undefined };
}

function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** The arguments of the container's first process; of the program behind it where that is Docker's little init. */
function flagsOfFirstProcess(): string[] {
  const words = readFileSync('/proc/1/cmdline', 'utf8').split('\0').slice(0, -1);
  const own = basename(process.execPath);
  const at = words.findIndex((word) => basename(word) === own);
  return at === -1 ? [] : words.slice(at + 1);
}
