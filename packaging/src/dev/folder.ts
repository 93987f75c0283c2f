import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Connection,
  credentialEntries,
  makeTicketKeyFile,
  readOrMakeSecrets,
  type Secrets,
} from '@morpheo/standalone';

/** The user and the group that the services run as in their containers. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The passwords of the parts' own users. */
const PARTS = ['postgres', 'minio'];

/** The services that keep something on disk: each has a folder of its own, mounted at `/data`. */
const WITH_DATA = ['storage-api', 'compute-api', 'orchestrator', 'shepherd'];

/**
 * Makes the folder of a platform in containers, or completes it: every secret is made at random on first use and kept.
 * The folder is closed to other users of this machine; within it, the containers' users may read what they are given.
 */
export async function makeFolder(folder: string, owner: Owner): Promise<Secrets> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const secrets = await readOrMakeSecrets(folder);
  await writeWhole(join(folder, 'credentials.json'), JSON.stringify(await credentialEntries(secrets)), 0o444);
  // The administrator's is for people, and in no container.
  const { admin: _, ...services } = secrets;
  const handed = join(folder, 'secrets');
  await mkdir(handed, { recursive: true });
  for (const [name, secret] of Object.entries(services)) await writeWhole(join(handed, name), secret, 0o444);
  const ticketKeys = await readFile(await makeTicketKeyFile(folder), 'utf8');
  await writeWhole(join(handed, 'ticket-key'), ticketKeys, 0o444);
  for (const name of PARTS) await makeOnce(join(handed, name));
  const minio = await readFile(join(handed, 'minio'), 'utf8');
  await writeWhole(join(handed, 'shepherd.yml'), shepherdConfig(minio), 0o444);
  for (const service of WITH_DATA) {
    const data = join(folder, service);
    await mkdir(data, { recursive: true, mode: 0o700 });
    if (process.getuid?.() === 0) await chown(data, owner.uid, owner.gid);
  }
  return secrets;
}

/** Tells the command line tool, and whoever else has `folder` for a home, where the platform is. */
export async function tellConnection(folder: string, connection: Connection): Promise<void> {
  await writeWhole(join(folder, 'connection.json'), `${JSON.stringify(connection, null, 2)}\n`, 0o600);
}

/** The configuration of Shepherd: buckets in MinIO, and two sheep for images of the registry. */
function shepherdConfig(minioPassword: string): string {
  return `data_root: /data
registry: { url: "http://registry:5000" }
storage: { url: "http://minio:9000", access_key: morpheo, secret_key: "${minioPassword}" }
sheep:
  sheep_1: { type: docker, port: 9001 }
  sheep_2: { type: docker, port: 9002 }
`;
}

async function makeOnce(path: string): Promise<void> {
  const there = await readFile(path).catch(() => undefined);
  if (there === undefined) await writeWhole(path, randomBytes(24).toString('hex'), 0o444);
}

async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await chmod(`${path}.new`, mode);
  await rename(`${path}.new`, path);
}
