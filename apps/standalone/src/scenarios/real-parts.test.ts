import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { openDockerRuntime } from '@morpheo/compute-worker';
import { startDind, startMinio, startNsqd, startPostgres, withParts } from '@morpheo/real-parts';
import { openNsqBroker } from '@morpheo/service/broker';
import { Secret } from '@morpheo/service/config';
import test from 'ava';
import { type Platform, type PlatformOptions, startPlatform } from '../platform.ts';
import { testScenarios } from './conformance.ts';

testScenarios({
  test: withParts(test, 'nsq', 'postgres', 'minio', 'docker'),
  start: startOnRealParts,
  wallMs: 40_000,
});

/** The platform on NSQ, PostgreSQL, S3 and Docker-in-Docker. */
async function startOnRealParts(options: PlatformOptions): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const [nsqd, postgres, minio, dind] = await Promise.all([
    startNsqd(),
    startPostgres(),
    startMinio(),
    startDind(),
  ]);
  for (const part of [nsqd, postgres, minio, dind]) stack.use(part);
  const { url: _url, ...address } = await postgres.createDatabase();
  const { accessKeyId, secretAccessKey } = minio.credentials;
  const folder = join(dind.jobs, 'worker');
  const platform = stack.use(
    await startPlatform({
      ...options,
      parts: {
        database: { engine: 'postgres', address },
        blobs: {
          kind: 's3',
          options: {
            bucket: await minio.createBucket(),
            endpoint: minio.endpoint,
            credentials: { accessKeyId, secretAccessKey: new Secret(secretAccessKey) },
          },
        },
        openBroker: (log) => openNsqBroker({ nsqds: [nsqd.tcp], log }),
      },
      workerFolder: folder,
      openRuntime: async () =>
        await openDockerRuntime({
          worker: randomUUID(),
          folder,
          host: `unix://${dind.socketPath}`,
          user: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
          log: options.log,
        }),
    }),
  );
  const opened = stack.move();
  return { ...platform, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}
