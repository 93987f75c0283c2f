import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { MinioServer } from '@morpheo/real-parts';
import { saveSynced } from './source-file.ts';

/** As storage-api sends them. */
const PART_BYTES = 8 * 2 ** 20;
const AT_ONCE = 3;

interface Target {
  readonly Bucket: string;
  readonly Key: string;
}

/** A bucket as a program has it that speaks with the server itself. */
export interface PlainBucket extends Disposable {
  /** Sends a file, in parts of 8 MiB, three at once. */
  upload(key: string, file: string): Promise<void>;
  /** Saves an object in a new file, synced. Returns its SHA-256. */
  download(key: string, to: string): Promise<string>;
}

/** Opens a new bucket by the vendor's own client. */
export async function openPlainBucket(minio: MinioServer): Promise<PlainBucket> {
  const Bucket = await minio.createBucket();
  const { endpoint, credentials } = minio;
  const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true });
  return {
    upload: async (Key, file) => await sendInParts(client, { Bucket, Key }, file),
    async download(Key, to) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
      if (!(Body instanceof Readable)) throw new Error('MinIO answered a download without bytes');
      return await saveSynced(Body, to);
    },
    [Symbol.dispose]: () => client.destroy(),
  };
}

async function sendInParts(client: S3Client, target: Target, file: string): Promise<void> {
  await using source = await open(file);
  const { size } = await source.stat();
  const begin = new CreateMultipartUploadCommand({ ...target, ChecksumAlgorithm: 'CRC32' });
  const { UploadId } = await client.send(begin);
  // Whoever is free takes the next.
  const numbers = Array.from({ length: Math.ceil(size / PART_BYTES) }, (_, index) => index + 1).values();
  const sent: { PartNumber: number; ETag: string | undefined; ChecksumCRC32: string | undefined }[] = [];
  const sender = async () => {
    for (const PartNumber of numbers) {
      const Body = await readPart(source, PartNumber);
      const part = { ...target, UploadId, PartNumber, Body, ChecksumAlgorithm: 'CRC32' } as const;
      const { ETag, ChecksumCRC32 } = await client.send(new UploadPartCommand(part));
      sent.push({ PartNumber, ETag, ChecksumCRC32 });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
  const Parts = sent.toSorted((one, other) => one.PartNumber - other.PartNumber);
  await client.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
}

async function readPart(source: FileHandle, number: number): Promise<Buffer> {
  const part = Buffer.allocUnsafe(PART_BYTES);
  const { bytesRead } = await source.read(part, 0, PART_BYTES, (number - 1) * PART_BYTES);
  return part.subarray(0, bytesRead);
}
