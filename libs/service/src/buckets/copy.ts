import {
  type CompletedPart,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { all } from '@morpheo/common';
import type { Calls } from './calls.ts';
import { abortUpload, completeUpload, MOST_PARTS } from './multipart.ts';

/** How many parts the server copies at once. */
const AT_ONCE = 4;

/** What is copied: the bytes do not come here. */
export interface ObjectCopy {
  readonly from: string;
  readonly to: string;
  /** In bytes. */
  readonly size: number;
  /** Whether the server copies in parts: it must, above 5 GiB, on AWS. */
  readonly inParts: boolean;
}

/** Has the server copy an object to another key. What is there already is replaced at the end, as a whole. */
export async function copyObject(calls: Calls, copy: ObjectCopy): Promise<void> {
  if (copy.inParts && copy.size > calls.tuning.copyBytes) return await copyInParts(calls, copy);
  const target = { Bucket: calls.bucket, Key: copy.to, ...calls.encryption };
  const request = { ...target, CopySource: sourceOf(calls, copy) };
  await calls.run((s3, how) => s3.send(new CopyObjectCommand(request), how), { bytes: copy.size });
}

async function copyInParts(calls: Calls, copy: ObjectCopy): Promise<void> {
  // Without a sum of ours: parts that are copied have none.
  const upload = {
    ...{ Bucket: calls.bucket, Key: copy.to, ContentType: 'application/octet-stream' },
    ...calls.encryption,
  };
  const { UploadId: id = '' } = await calls.run((s3, how) =>
    s3.send(new CreateMultipartUploadCommand(upload), how),
  );
  try {
    const parts = await copyParts(calls, copy, id);
    await completeUpload(calls, { key: copy.to, id, size: copy.size }, parts);
  } catch (error) {
    await abortUpload(calls, copy.to, id).catch(() => {});
    throw error;
  }
}

async function copyParts(calls: Calls, copy: ObjectCopy, id: string): Promise<CompletedPart[]> {
  const partBytes = Math.max(calls.tuning.copyBytes, Math.ceil(copy.size / MOST_PARTS));
  const starts = startsOf(copy.size, partBytes);
  const parts: CompletedPart[] = [];
  const copySome = async (signal: AbortSignal): Promise<void> => {
    for (let next = starts.next(); next.done !== true; next = starts.next()) {
      const { start, number } = next.value;
      const end = Math.min(start + partBytes, copy.size) - 1;
      const part = {
        ...{ Bucket: calls.bucket, Key: copy.to, UploadId: id, PartNumber: number },
        CopySource: sourceOf(calls, copy),
        CopySourceRange: `bytes=${start}-${end}`,
      };
      const { CopyPartResult } = await calls.run((s3, how) => s3.send(new UploadPartCopyCommand(part), how), {
        bytes: partBytes,
        signal,
      });
      parts.push({ PartNumber: number, ETag: CopyPartResult?.ETag });
    }
  };
  await all(
    new AbortController().signal,
    Array.from({ length: AT_ONCE }, () => copySome),
  );
  return parts;
}

function* startsOf(size: number, partBytes: number) {
  for (let start = 0, number = 1; start < size; start += partBytes, number++) yield { start, number };
}

function sourceOf({ bucket }: Calls, { from }: ObjectCopy): string {
  return `${bucket}/${from}`.split('/').map(encodeURIComponent).join('/');
}
