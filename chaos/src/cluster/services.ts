import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Parts } from './parts.ts';

/** Who all services are to storage. */
export const CALLER = { name: 'chaos', secret: randomUUID() };

const OF_STORAGE = { 'storage-user': CALLER.name, 'storage-password': CALLER.secret };

/** The address of what listens on a port of this machine. */
export const urlOf = (port: number | undefined): string => `http://127.0.0.1:${port}`;

/** The settings of a storage-api. */
export function storageSettings(
  { database, minio, bucket, ticketKeys }: Parts,
  port: number,
): Record<string, string> {
  return {
    ...{ port: String(port), 'db-url': database.url, user: CALLER.name, password: CALLER.secret },
    'ticket-key-file': ticketKeys,
    ...{ blobstore: 's3', 's3-bucket': bucket, 's3-endpoint': minio.endpoint },
    's3-access-key': minio.credentials.accessKeyId,
    's3-secret-key': minio.credentials.secretAccessKey,
    ...{ 'default-visibility': 'open', 'anonymous-grants': 'all', outputs: 'open' },
  };
}

/** The settings of a compute-api. No order may fail for attempts that were lost: nobody but the platform is to blame. */
export function computeSettings(
  { database, nsqd, orchestrator, ticketKeys }: Parts,
  { port, storagePort }: { port: number; storagePort: number | undefined },
): Record<string, string> {
  return {
    ...{ port: String(port), 'db-url': database.url, 'insecure-open': 'true', ...OF_STORAGE },
    ...{ broker: 'nsq', nsqd: nsqd.tcp, storage: urlOf(storagePort), orchestrator: urlOf(orchestrator.port) },
    'ticket-key-file': ticketKeys,
    attempts: '1000',
  };
}

/** The settings of a worker. */
export function workerSettings(
  { nsqd }: Parts,
  { computePort, storagePort }: { computePort: number | undefined; storagePort: number | undefined },
): Record<string, string> {
  return {
    ...{ compute: urlOf(computePort), storage: urlOf(storagePort), nsqd: nsqd.tcp, ...OF_STORAGE },
    ...{ poll: '2s', 'learn-parallelism': '2', 'predict-parallelism': '2' },
  };
}

/** What makes a worker one whose containers are Docker's, which cost more: they share a folder with the daemon. */
export async function dockerSettings({ dind }: Parts, name: string): Promise<Record<string, string>> {
  await mkdir(dind.jobs, { recursive: true });
  return {
    ...{ runtime: 'docker', 'learn-parallelism': '1', 'predict-parallelism': '1' },
    'docker-host': `unix://${dind.socketPath}`,
    'data-dir': join(dind.jobs, name),
  };
}
