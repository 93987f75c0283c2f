import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import {
  type Dind,
  freePorts,
  type ServiceProcess,
  startDind,
  startMinio,
  startNsqd,
  startPostgres,
} from '@morpheo/real-parts';
import { hashSecret } from '@morpheo/service/http';
import { openOtlpReceiver } from '@morpheo/service/testing';
import { drawCanaries } from './canaries.ts';
import { startProgram } from './service-program.ts';

/** The platform as programs of their own on real parts, with a canary in every setting that takes one. */
export type CanaryCluster = Awaited<ReturnType<typeof startCanaryCluster>>;

/** Starts it: storage-api by its environment, compute-api by files where it can, the worker by flags. */
export async function startCanaryCluster() {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-canaries-'))).path;
  const canaries = {
    ...drawCanaries('storage', 'database', 'nsq', 'orchestrator', 'operator', 'worker', 'traces'),
    tickets: randomBytes(32).toString('base64'),
  };
  const parts = await startParts(stack, canaries);
  const [storagePort = 0, computePort = 0, workerPort = 0] = await freePorts(3);
  const urls = urlsOf({ storage: storagePort, compute: computePort, worker: workerPort });
  const traces = {
    OTEL_EXPORTER_OTLP_ENDPOINT: parts.receiver.url,
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=${encodeURIComponent(canaries.traces)}`,
  };
  const ticketKeys = join(folder, 'ticket.key');
  await writeFile(ticketKeys, `${canaries.tickets}\n`);
  const common = { parts, canaries, urls, folder, traces, ticketKeys };
  const programs = {
    storage: stack.use(startStorage(common, storagePort)),
    compute: stack.use(await startCompute(common, computePort)),
    worker: stack.use(await startWorkerProgram(common, workerPort)),
  };
  for (const url of Object.values(urls)) await untilReady(url);
  const opened = stack.move();
  return {
    ...{
      canaries: { ...canaries, bucket: parts.minio.credentials.secretAccessKey },
      parts,
      urls,
      programs,
      folder,
    },
    storage: storageClient({ url: urls.storage, credentials: { name: 'storage', secret: canaries.storage } }),
    compute: computeClient({
      url: urls.compute,
      credentials: { name: 'operator', secret: canaries.operator },
    }),
    /** What the operator sends to both services. */
    authorization: {
      storage: basic('storage', canaries.storage),
      compute: basic('operator', canaries.operator),
      worker: '',
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

interface Common {
  readonly parts: Awaited<ReturnType<typeof startParts>>;
  readonly canaries: Record<'storage' | 'database' | 'nsq' | 'orchestrator' | 'operator' | 'worker', string>;
  readonly urls: Record<'storage' | 'compute' | 'worker', string>;
  readonly folder: string;
  readonly traces: Record<string, string>;
  /** The file with the key of tickets. */
  readonly ticketKeys: string;
}

/** The servers that the platform stands on; the one of NSQ and the one of the database know canaries. */
async function startParts(stack: AsyncDisposableStack, canaries: Common['canaries']) {
  const [postgres, minio, dind, receiver] = await Promise.all([
    startPostgres(),
    startMinio(),
    startDind(),
    openOtlpReceiver(),
  ]);
  for (const part of [postgres, minio, dind, receiver]) stack.use(part);
  const nsqAuthority = stack.use(await openNsqAuthority(canaries.nsq));
  const nsqd = stack.use(await startNsqd({ auth: nsqAuthority.address }));
  const orchestrator = stack.use(await openRefusingServer());
  await postgres.query(`create role planted login superuser password '${canaries.database}'`);
  const [ofStorage, ofCompute] = [await postgres.createDatabase(), await postgres.createDatabase()];
  const bucket = await minio.createBucket();
  return { postgres, minio, dind, receiver, nsqd, orchestrator, ofStorage, ofCompute, bucket };
}

function urlsOf(
  ports: Common['urls'] extends infer U ? { readonly [K in keyof U]: number } : never,
): Common['urls'] {
  const at = (port: number) => `http://127.0.0.1:${port}`;
  return { storage: at(ports.storage), compute: at(ports.compute), worker: at(ports.worker) };
}

function startStorage({ parts, canaries, folder, traces, ticketKeys }: Common, port: number): ServiceProcess {
  const { host, port: dbPort, database } = parts.ofStorage;
  const password = encodeURIComponent(canaries.database);
  return startProgram('storage-api', {
    cwd: folder,
    env: {
      ...traces,
      MORPHEO_STORAGE_PORT: String(port),
      MORPHEO_STORAGE_DATA_DIR: join(folder, 'storage'),
      MORPHEO_STORAGE_USER: 'storage',
      MORPHEO_STORAGE_PASSWORD: canaries.storage,
      MORPHEO_STORAGE_TICKET_KEY_FILE: ticketKeys,
      MORPHEO_STORAGE_DEFAULT_VISIBILITY: 'open',
      MORPHEO_STORAGE_DB_URL: `postgres://planted:${password}@${host}:${dbPort}/${database}`,
      MORPHEO_STORAGE_BLOBSTORE: 's3',
      MORPHEO_STORAGE_S3_BUCKET: parts.bucket,
      MORPHEO_STORAGE_S3_ENDPOINT: parts.minio.endpoint,
      AWS_ACCESS_KEY_ID: parts.minio.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: parts.minio.credentials.secretAccessKey,
      MORPHEO_STORAGE_LOG_LEVEL: 'debug',
    },
  });
}

async function startCompute({ parts, canaries, urls, folder, traces, ticketKeys }: Common, port: number) {
  const files = join(folder, 'secrets');
  await mkdir(files);
  const file = async (name: string, text: string) => {
    await writeFile(join(files, name), text);
    return join(files, name);
  };
  const entries = [
    {
      name: 'operator',
      roles: ['admin'],
      secretHash: await hashSecret(canaries.operator, { isRandom: true }),
    },
    { name: 'worker', roles: ['worker'], secretHash: await hashSecret(canaries.worker, { isRandom: true }) },
  ];
  return startProgram('compute-api', {
    cwd: folder,
    flags: {
      port: String(port),
      'db-host': parts.ofCompute.host,
      'db-port': String(parts.ofCompute.port),
      'db-name': parts.ofCompute.database,
      'db-user': 'planted',
      'db-password-file': await file('database', canaries.database),
      broker: 'nsq',
      nsqd: parts.nsqd.tcp,
      'nsq-secret-file': await file('nsq', canaries.nsq),
      storage: urls.storage,
      'storage-user': 'storage',
      'storage-password-file': await file('storage', canaries.storage),
      orchestrator: parts.orchestrator.url,
      'orchestrator-user': 'compute',
      'orchestrator-password-file': await file('orchestrator', canaries.orchestrator),
      credentials: await file('credentials.json', JSON.stringify(entries)),
      'ticket-key-file': ticketKeys,
      attempts: '2',
      'log-level': 'debug',
    },
    env: traces,
  });
}

async function startWorkerProgram({ parts, canaries, urls, folder, traces }: Common, port: number) {
  await mkdir(join(parts.dind.jobs, 'worker'), { recursive: true });
  return startProgram('compute-worker', {
    cwd: folder,
    flags: {
      'data-dir': join(parts.dind.jobs, 'worker'),
      runtime: 'docker',
      'docker-host': `unix://${parts.dind.socketPath}`,
      port: String(port),
      compute: urls.compute,
      'compute-user': 'worker',
      'compute-password': canaries.worker,
      storage: urls.storage,
      'storage-user': 'storage',
      'storage-password': canaries.storage,
      nsqd: parts.nsqd.tcp,
      'nsq-secret': canaries.nsq,
      poll: '1s',
      'log-level': 'debug',
    },
    env: traces,
  });
}

/** Whoever judges what nsqd is told: the secret may do everything (NSQ, "nsqd", AUTH). */
async function openNsqAuthority(secret: string) {
  const authorizations = [{ permissions: ['subscribe', 'publish'], topic: '.*', channels: ['.*'] }];
  const server = createServer((request, answer) => {
    const isRight = new URL(request.url ?? '', 'http://x').searchParams.get('secret') === secret;
    answer.writeHead(isRight ? 200 : 403, { 'content-type': 'application/json' });
    answer.end(JSON.stringify({ ttl: 3600, identity: 'planted', identity_url: '', authorizations }));
  });
  return { ...(await listening(server)), address: (await listening(server)).url.replace('http://', '') };
}

/** An orchestrator that lets nobody in, so that telling it fails again and again. */
async function openRefusingServer() {
  return await listening(
    createServer((_request, answer) => void answer.writeHead(401).end('{"error":"no"}')),
  );
}

async function listening(server: ReturnType<typeof createServer>) {
  if (!server.listening) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function untilReady(url: string): Promise<void> {
  const end = performance.now() + 240_000;
  for (;;) {
    const answer = await fetch(`${url}/ready`).catch(() => undefined);
    if (answer?.ok === true) return;
    if (performance.now() > end) throw new Error(`${url} is not ready: ${await answer?.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function basic(name: string, secret: string): string {
  return `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
}

/** What Docker tells of every container that a daemon has now. */
export async function inspectContainers({ socketPath }: Dind, run: (...args: string[]) => Promise<string>) {
  const docker = async (...args: string[]) => await run('--host', `unix://${socketPath}`, ...args);
  const ids = (await docker('ps', '--all', '--quiet')).split('\n').filter((id) => id !== '');
  return ids.length === 0 ? '' : await docker('inspect', ...ids).catch(() => '');
}
