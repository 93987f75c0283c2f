import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { isPlatformError, PlatformError, TRAINER_LABELS } from '@morpheo/common';
import { type TarEntry, tarOf } from '@morpheo/service/archive';
import type { Peers } from '../clients.ts';
import { namedId } from '../sensory/shard.ts';

/** What a training, and a network that answers, need of their worker: that it has this trainer. */
export const TRAINER_NEEDS = { labels: TRAINER_LABELS } as const;

/** As in `programs/picture-trainer/algorithm`, which a test compares. */
export const TRAINER_DOCKERFILE = `FROM morpheo/picture-trainer:1
LABEL morpheo.runner="1" morpheo.max_batch="32"
ENV TRAINER_PICTURES=/pictures/train TRAINER_TEST=/pictures/test TRAINER_START=/start TRAINER_NETWORK=/network
ENTRYPOINT ["picture-trainer"]
`;

/** What the trainer is called on storage: another one has another id. */
export const TRAINER_ID = namedId(`trainer:${TRAINER_DOCKERFILE}`);

/** What of storage-api the trainer needs. */
export type TrainerStorage = Pick<Peers['storage'], 'get' | 'upload'>;

/**
 * Sees that storage has the trainer, open to everybody, under its id. Throws `conflict` where something else has that id, and
 * `unavailable` where storage does not answer.
 */
export async function keepTrainer(storage: TrainerStorage, signal?: AbortSignal): Promise<void> {
  const archive = await archiveOf();
  if (await isThere(storage, archive, signal)) return;
  try {
    await storage.upload(
      {
        params: { type: 'algo' },
        query: { uuid: TRAINER_ID, visibility: 'open' },
        body: {
          body: new Blob([new Uint8Array(archive)]).stream(),
          contentType: 'application/octet-stream',
          contentLength: archive.byteLength,
        },
      },
      { signal },
    );
  } catch (error) {
    // Somebody else was faster.
    if (!isPlatformError(error, 'conflict') || !(await isThere(storage, archive, signal))) throw error;
  }
}

async function isThere(
  storage: TrainerStorage,
  archive: Buffer,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const params = { type: 'algo', uuid: TRAINER_ID } as const;
  try {
    const { sha256 } = await storage.get({ params }, { signal });
    if (sha256 === createHash('sha256').update(archive).digest('hex')) return true;
  } catch (error) {
    if (isPlatformError(error, 'not_found')) return false;
    throw error;
  }
  throw new PlatformError(
    'conflict',
    `The algorithm ${TRAINER_ID} on storage is not the picture trainer: its owner, or an admin, has to remove it.`,
  );
}

/** A .tar.gz of the same bytes on every machine: stored as it is, without the system that made it (RFC 1952). */
async function archiveOf(): Promise<Buffer> {
  const archive = gzipSync(Buffer.concat(await Array.fromAsync(tarOf(entries()))), { level: 0 });
  archive.writeUInt8(255, 9);
  return archive;
}

async function* entries(): AsyncGenerator<TarEntry> {
  const bytes = Buffer.from(TRAINER_DOCKERFILE);
  yield { type: 'file', name: 'Dockerfile', mode: 0o644, size: bytes.byteLength, bytes: once(bytes) };
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}
