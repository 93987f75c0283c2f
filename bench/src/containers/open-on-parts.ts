import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type DockerRuntimeOptions, openDockerRuntime } from '@morpheo/compute-worker';
import { type Dind, startMinio, startNsqd, startPostgres } from '@morpheo/real-parts';
import { openNsqBroker } from '@morpheo/service/broker';
import { Secret } from '@morpheo/service/config';
import { createLog } from '@morpheo/service/log';
import { type Platform, startPlatform } from '@morpheo/standalone';

/** The whole platform on PostgreSQL, NSQ and S3 of its own, with its containers in `dind`, of which `spares` wait for runs; none where absent. */
export async function openOnParts(
  folder: string,
  dind: Dind,
  spares?: DockerRuntimeOptions['spares'],
): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const nsqd = stack.use(await startNsqd());
  const minio = stack.use(await startMinio());
  const { url: _url, ...address } = await postgres.createDatabase();
  const { accessKeyId, secretAccessKey } = minio.credentials;
  const credentials = { accessKeyId, secretAccessKey: new Secret(secretAccessKey) };
  const bucket = await minio.createBucket();
  const log = createLog({ service: 'platform', level: 'error', destination: process.stderr });
  const workerFolder = join(dind.jobs, `worker-${randomUUID()}`);
  const platform = stack.use(
    await startPlatform({
      folder,
      parts: {
        database: { engine: 'postgres', address },
        blobs: { kind: 's3', options: { bucket, endpoint: minio.endpoint, credentials } },
        openBroker: (brokerLog) => openNsqBroker({ nsqds: [nsqd.tcp], log: brokerLog }),
      },
      workerFolder,
      openRuntime: async () =>
        await openDockerRuntime({
          worker: randomUUID(),
          folder: workerFolder,
          host: `unix://${dind.socketPath}`,
          user: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
          spares,
          log,
        }),
      log,
    }),
  );
  const opened = stack.move();
  return { ...platform, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}
