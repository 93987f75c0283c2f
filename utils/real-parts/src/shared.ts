import { z } from 'zod';
import { removeOrphanProjects } from './dind/owner.ts';
import { type Dind, startDind } from './dind.ts';
import { type MinioServer, minioAt, startMinio } from './minio.ts';
import { type PostgresServer, postgresOn, startPostgres } from './postgres/postgres.ts';
import { missingParts } from './with-parts.ts';

/** A PostgreSQL server that others use as well: nobody ends it, and who disposes of it lets go. */
export type SharedPostgres = Pick<PostgresServer, 'target' | 'createDatabase' | 'takeDatabase' | 'query'> &
  AsyncDisposable;

/** A MinIO server that others use as well: nobody ends it, and who disposes of it lets go. */
export type SharedMinio = Pick<MinioServer, 'endpoint' | 'credentials' | 'client' | 'createBucket'> &
  AsyncDisposable;

/** A Docker daemon that others use as well: nobody ends it, and whoever uses it removes what is theirs. */
export type SharedDind = Pick<Dind, 'socketPath' | 'jobs'> & AsyncDisposable;

const POSTGRES = 'MORPHEO_TEST_POSTGRES';
const MINIO = 'MORPHEO_TEST_MINIO';
const DIND = 'MORPHEO_TEST_DIND';
const sharedDind = z.object({ socketPath: z.string(), jobs: z.string() });

/** The server of this run of tests; where there is none, one of the caller's own. */
export async function openSharedPostgres(): Promise<SharedPostgres> {
  const given = process.env[POSTGRES];
  if (given === undefined) return await startPostgres();
  return { ...postgresOn(JSON.parse(given)), [Symbol.asyncDispose]: async () => undefined };
}

/** The server of this run of tests; where there is none, one of the caller's own. */
export async function openSharedMinio(): Promise<SharedMinio> {
  const given = process.env[MINIO];
  if (given === undefined) return await startMinio();
  const minio = await minioAt(given);
  return { ...minio, [Symbol.asyncDispose]: async () => minio.client.destroy() };
}

/** The daemon of this run of tests; where there is none, one of the caller's own. */
export async function openSharedDind(): Promise<SharedDind> {
  const given = process.env[DIND];
  if (given === undefined) return await startDind();
  return { ...sharedDind.parse(JSON.parse(given)), [Symbol.asyncDispose]: async () => undefined };
}

/** Servers for a whole run of tests, and what its processes get as environment to find them. */
export interface RunParts extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Starts the servers that the tests of a run share, a Docker daemon only where the machine has Docker. They end with
 * this process too, however that ends; the daemon at the latest when the next one is started.
 */
export async function startRunParts(): Promise<RunParts> {
  const hasDocker = missingParts('docker') === undefined;
  if (hasDocker) await removeOrphanProjects();
  await using stack = new AsyncDisposableStack();
  const [postgres, minio, dind] = await Promise.all([
    startPostgres({
      settings: { max_connections: '600', shared_buffers: '128MB', max_wal_size: '256MB' },
    }).then((part) => stack.use(part)),
    startMinio().then((part) => stack.use(part)),
    hasDocker ? startDind({ memory: 6 * 1024 ** 3 }).then((part) => stack.use(part)) : undefined,
  ]);
  const opened = stack.move();
  return {
    env: {
      [POSTGRES]: JSON.stringify(postgres.target),
      [MINIO]: minio.endpoint,
      ...(dind && { [DIND]: JSON.stringify({ socketPath: dind.socketPath, jobs: dind.jobs }) }),
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
