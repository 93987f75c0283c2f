import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { storageClient } from '@morpheo/client';
import { startMinio } from '@morpheo/real-parts';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { median, timed } from '../bench.ts';
import { type ServerProcess, startServer } from '../process/start-server.ts';
import { openPlainBucket, type PlainBucket } from './plain-s3.ts';
import { writeSource } from './source-file.ts';
import { type Cost, costOf, download, upload } from './transfers.ts';

const SIZES: Readonly<Record<BenchSize, { readonly mib: number; readonly rounds: number }>> = {
  full: { mib: 256, rounds: 3 },
  quick: { mib: 64, rounds: 2 },
  tiny: { mib: 8, rounds: 1 },
};
const MIB = 2 ** 20;
/** Of the speed of MinIO alone. */
const AIM = 0.8;

/** What a blob goes to and comes from. */
const PLACES = ['MinIO alone', 'storage-api on MinIO', 'storage-api on a folder'] as const;

type Place = (typeof PLACES)[number];

/** A blob there and back; CPU is the server process's, where there is one. */
interface Trip {
  readonly up: Partial<Cost> & { readonly ms: number };
  readonly down: Partial<Cost> & { readonly ms: number };
}

interface Blob {
  readonly source: string;
  readonly digest: string;
  readonly bytes: number;
  /** Where it is saved when it comes back. */
  readonly back: string;
}

/** A blob to storage-api on S3 and back, beside MinIO itself and storage-api on a folder, digests compared. */
export async function blobsOnS3({ folder, size, say, ...chosen }: BenchContext): Promise<Report> {
  const { rounds, mib: usual } = SIZES[size];
  const { mib = usual } = chosen;
  await using minio = await startMinio();
  using plain = await openPlainBucket(minio);
  const { accessKeyId, secretAccessKey } = minio.credentials;
  const bucket = await minio.createBucket();
  const keys = [minio.endpoint, bucket, accessKeyId, secretAccessKey];
  await using onS3 = await startServer('storage', [join(folder, 's3'), ...keys]);
  await using local = await startServer('storage', [join(folder, 'local')]);
  const before = await onS3.usage();
  const trips = new Map<Place, Trip[]>(PLACES.map((place) => [place, []]));
  for (let turn = 0; turn < rounds; turn++) {
    say(`blobs-on-s3: round ${turn + 1} of ${rounds}`);
    const [source, back] = [join(folder, 'source'), join(folder, 'back')];
    const blob = { source, back, digest: await writeSource(source, mib), bytes: mib * MIB };
    trips.get('MinIO alone')?.push(await plainTrip(plain, blob, `blob-${turn}`));
    trips.get('storage-api on MinIO')?.push(await trip(onS3, blob));
    trips.get('storage-api on a folder')?.push(await trip(local, blob));
    await rm(source);
  }
  const after = await onS3.usage();
  return reportOf(trips, mib, [
    'MinIO alone: the client of the vendor, which sends parts of 8 MiB, three at once.',
    'storage-api digests an upload (SHA-256); each download is digested and synced by its client, the same for all.',
    `Digests are equal, of what went up and what came down, at all three places in all ${rounds} rounds.`,
    `Memory of storage-api on MinIO: ${inMib(before.memoryBytes)} MiB before, ${inMib(after.peakMemoryBytes)} MiB at its peak.`,
  ]);
}

async function plainTrip(bucket: PlainBucket, { source, back, digest }: Blob, key: string): Promise<Trip> {
  const up = await timed(() => bucket.upload(key, source));
  const down = await timed(() => bucket.download(key, back));
  if (down.result !== digest) throw new Error('MinIO answered other bytes than it was sent');
  await rm(back);
  return { up: { ms: up.ms }, down: { ms: down.ms } };
}

async function trip(server: ServerProcess, { source, back, digest, bytes }: Blob): Promise<Trip> {
  const storage = storageClient({ url: server.url });
  const up = await costOf(server, () => upload(storage, source, bytes));
  if (up.result.sha256 !== digest) throw new Error('storage-api holds other bytes than were sent');
  const down = await costOf(server, () => download(storage, up.result.uuid, back));
  if (down.result !== digest) throw new Error('storage-api answered other bytes than it was sent');
  await rm(back);
  return { up: up.cost, down: down.cost };
}

function reportOf(trips: ReadonlyMap<Place, readonly Trip[]>, mib: number, notes: readonly string[]): Report {
  const lines = (['up', 'down'] as const).flatMap((way) => {
    const plain = speed(trips.get('MinIO alone') ?? [], way, mib);
    return PLACES.map((place) => {
      const own = trips.get(place) ?? [];
      const cpu = median(own.map((one) => one[way].cpuSeconds ?? Number.NaN));
      const mibPerSecond = speed(own, way, mib);
      return { place, way, mibPerSecond, ratio: mibPerSecond / plain, cpu: (cpu * 1024) / mib };
    });
  });
  return {
    name: 'blobs-on-s3',
    title: `${mib} MiB to storage-api on S3 and back, beside MinIO itself and a folder`,
    rows: lines.map(({ place, way, mibPerSecond, ratio, cpu }) => ({
      way,
      place,
      'MiB/s': mibPerSecond,
      ratio,
      'server CPU s/GiB': Number.isNaN(cpu) ? '' : cpu,
    })),
    aims: lines
      .filter(({ place }) => place === 'storage-api on MinIO')
      .map(({ way, ratio }) => ({
        what: `${way}, share of the speed of MinIO alone`,
        measured: ratio,
        least: AIM,
      })),
    notes,
    bars: lines.map(({ place, way, mibPerSecond }) => ({
      label: `${way}, ${place}`,
      value: mibPerSecond,
      unit: 'MiB/s',
      plain: place === 'MinIO alone',
    })),
  };
}

function speed(trips: readonly Trip[], way: keyof Trip, mib: number): number {
  return mib / (median(trips.map((one) => one[way].ms)) / 1000);
}

function inMib(bytes: number): string {
  return String(Math.round(bytes / MIB));
}
