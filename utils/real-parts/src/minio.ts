import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { S3Client } from '@aws-sdk/client-s3';
import { freePort } from './free-ports.ts';
import { quickFolder, requireProgram } from './place.ts';
import { startServer } from './server-process.ts';
import { mountSmallDisk, type SmallDisk } from './small-disk.ts';

/** A MinIO server of a test: it listens on 127.0.0.1, and goes with all its data. */
export interface MinioServer extends AsyncDisposable {
  /** Such as `http://127.0.0.1:41234`. */
  readonly endpoint: string;
  /** Those of its owner, who may do everything. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** The PEM file of its certificate, which is for 127.0.0.1; where it speaks TLS. */
  readonly caFile: string | undefined;
  /** A client of the owner; it goes with the server. */
  readonly client: S3Client;
  /** The disk of its data, where that is a small one. */
  readonly disk: SmallDisk | undefined;
  /** Makes an empty bucket with a name of its own, and says that. */
  createBucket(): Promise<string>;
  /** Ends the server at once, as `kill -9`. */
  kill(): Promise<void>;
  /** Stops it where it is, until `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Starts it again on its data. */
  start(): Promise<void>;
  output(): string;
}

/** What a server is started with. */
export interface StartMinio {
  readonly tls?: boolean;
  /** Puts its data on a disk of so many bytes, in memory; needs root on Linux. */
  readonly diskBytes?: number;
}

const OWNER = { accessKeyId: 'morpheo-owner', secretAccessKey: 'of-the-real-parts' } as const;
/** By which it encrypts what asks for that. */
const KMS_KEY = `of-the-real-parts:${Buffer.alloc(32, 'key').toString('base64')}`;
const run = promisify(execFile);

/** Starts the machine's MinIO on a free port, with no data. */
export async function startMinio({ tls = false, diskBytes }: StartMinio = {}): Promise<MinioServer> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(quickFolder(), 'minio-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const data = join(folder, 'data');
  await mkdir(data);
  const disk = diskBytes === undefined ? undefined : stack.use(await mountSmallDisk(data, diskBytes));
  const certs = join(folder, 'certs');
  const caFile = tls ? await makeCertificate(certs) : undefined;
  const address = `127.0.0.1:${await freePort()}`;
  const endpoint = `${tls ? 'https' : 'http'}://${address}`;
  const asked = await minioAt(endpoint);
  stack.defer(() => asked.client.destroy());
  const server = stack.use(await serve({ folder, data, certs, address, endpoint }));
  const opened = stack.move();
  return {
    ...{ ...asked, caFile, disk },
    kill: () => server.kill('SIGKILL'),
    freeze: () => server.kill('SIGSTOP'),
    thaw: () => server.kill('SIGCONT'),
    start: () => server.start(),
    output: () => server.output(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** What can be asked of a server that runs, MinIO or another with its owner's keys, with a client of its owner that the caller lets go of. */
export async function minioAt(
  endpoint: string,
): Promise<Pick<MinioServer, 'endpoint' | 'credentials' | 'client' | 'createBucket'>> {
  const { CreateBucketCommand } = await import('@aws-sdk/client-s3');
  const client = await ownersClient(endpoint, 3);
  return {
    ...{ endpoint, client, credentials: OWNER },
    createBucket: async () => {
      const Bucket = `bucket-${randomUUID()}`;
      await client.send(new CreateBucketCommand({ Bucket }));
      return Bucket;
    },
  };
}

/** The vendor's package takes long to load, and most tests that load this one have no use for it. */
async function ownersClient(endpoint: string, maxAttempts: number): Promise<S3Client> {
  const { S3Client } = await import('@aws-sdk/client-s3');
  // Its certificate is nobody's but the test's: this client only asks whether it is there, and makes buckets.
  const requestHandler = { requestTimeout: 5_000, httpsAgent: { rejectUnauthorized: false } };
  const s3 = { endpoint, region: 'us-east-1', forcePathStyle: true, credentials: OWNER, requestHandler };
  return new S3Client({ ...s3, maxAttempts });
}

interface Places {
  readonly folder: string;
  readonly data: string;
  readonly certs: string;
  readonly address: string;
  readonly endpoint: string;
}

async function serve({ folder, data, certs, address, endpoint }: Places) {
  const { ListBucketsCommand } = await import('@aws-sdk/client-s3');
  const probe = await ownersClient(endpoint, 1);
  return await startServer({
    command: requireProgram('minio'),
    args: ['server', '--quiet', '--address', address, '--certs-dir', certs, data],
    env: {
      HOME: folder,
      MINIO_ROOT_USER: OWNER.accessKeyId,
      MINIO_ROOT_PASSWORD: OWNER.secretAccessKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      MINIO_KMS_SECRET_KEY: KMS_KEY,
    },
    ready: () => probe.send(new ListBucketsCommand({})),
  });
}

/** A certificate where MinIO looks for it. */
async function makeCertificate(folder: string): Promise<string> {
  await mkdir(folder);
  const [key, certificate] = [join(folder, 'private.key'), join(folder, 'public.crt')];
  const kind = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=minio'];
  const name = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  await run('openssl', [...kind, ...name, '-keyout', key, '-out', certificate]);
  return certificate;
}
