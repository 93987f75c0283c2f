import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { docker } from './docker.ts';

/** Where a daemon answers by TCP, and what a client shows and trusts there (PEM). */
export interface DindTls {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const Networks = z.record(z.string(), z.object({ IPAddress: z.string() }));

/** The daemon's address in its network, and the certificates that it made for its client in `folder`. */
export async function readEndpoint(container: string, folder: string): Promise<DindTls> {
  const read = (name: string) => readFile(join(folder, 'client', name), 'utf8');
  const json = await docker('inspect', '--format', '{{json .NetworkSettings.Networks}}', container);
  const host = Object.values(Networks.parse(JSON.parse(json)))[0]?.IPAddress;
  if (!host) throw new Error(`The container ${container} has no address.`);
  const [ca, cert, key] = await Promise.all([read('ca.pem'), read('cert.pem'), read('key.pem')]);
  return { host, port: 2376, ca, cert, key };
}
