import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  canMountDisks,
  type Dind,
  type MinioServer,
  type NsqServer,
  type PostgresServer,
  startDind,
  startMinio,
  startNsqd,
  startPostgres,
  type TestDatabase,
} from '@morpheo/real-parts';
import { DISK_BYTES, type Disks } from './disks.ts';
import { HearingOrchestrator } from './orchestrator.ts';

/** What is not ours and that we run on. */
export interface Parts {
  readonly nsqd: NsqServer;
  readonly postgres: PostgresServer;
  readonly database: TestDatabase;
  readonly minio: MinioServer;
  readonly bucket: string;
  readonly dind: Dind;
  readonly orchestrator: HearingOrchestrator;
  /** The file with the key of tickets. */
  readonly ticketKeys: string;
}

/** Starts all parts; `stack` ends them. */
export async function startParts(
  stack: AsyncDisposableStack,
  { folder, disks, orchestratorPort }: { folder: string; disks: Disks; orchestratorPort: number },
): Promise<Parts> {
  const ofPostgres = await disks.folderFor('postgres', join(folder, 'postgres'), DISK_BYTES.part);
  const [postgres, minio, nsqd, dind] = await Promise.all([
    startPostgres({ folder: ofPostgres }).then((part) => stack.use(part)),
    startMinio(canMountDisks ? { diskBytes: DISK_BYTES.part } : {}).then((part) => stack.use(part)),
    startNsqd().then((part) => stack.use(part)),
    startDind().then((part) => stack.use(part)),
  ]);
  disks.add('minio', minio.disk);
  const orchestrator = stack.use(new HearingOrchestrator(orchestratorPort));
  await orchestrator.start();
  const database = await postgres.createDatabase();
  const ticketKeys = join(folder, 'ticket.key');
  await writeFile(ticketKeys, randomBytes(32).toString('base64'));
  const bucket = await minio.createBucket();
  return { nsqd, postgres, database, minio, bucket, dind, orchestrator, ticketKeys };
}
