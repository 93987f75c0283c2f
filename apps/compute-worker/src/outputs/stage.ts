import { openAsBlob } from 'node:fs';
import {
  type Api,
  formatDigestField,
  isPlatformError,
  OrderFailure,
  PlatformError,
  type ResultType,
  retry,
  type StorageContract,
  withTimeout,
} from '@morpheo/common';
import { span } from '@morpheo/service/trace';
import { diskFull } from '../files/disk-full.ts';
import { formatBytes } from '../steps/format.ts';

/** The call of storage that takes results. */
export type ResultStorage = Pick<Api<StorageContract>, 'stageResult'>;

/** A result to stage: what it is, and the file that holds it. */
export interface Result {
  readonly type: ResultType;
  /** The id that it will have. */
  readonly uuid: string;
  /** Of a model or a prediction, the algorithm that made it. */
  readonly algo?: string;
  readonly path: string;
  /** SHA-256 of the file, as hexadecimal digits. */
  readonly sha256: string;
  readonly size: number;
}

/** Where {@link stageResult} stages to, and for which attempt. */
export interface StageOptions {
  readonly storage: ResultStorage;
  readonly order: string;
  readonly attempt: number;
  /** Whose the result is; that of whoever stages it where undefined. */
  readonly owner?: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Uploads a result, and makes sure that storage has it byte for byte; it becomes visible when compute-api publishes
 * it. Throws `OrderFailure` with `disk_full` where storage does not take as much, or as many files; else storage's error.
 */
export async function stageResult(result: Result, options: StageOptions): Promise<void> {
  const { type, uuid, size: bytes } = result;
  await span('stage result', { type, uuid, bytes }, () => upload(result, options));
}

async function upload(result: Result, options: StageOptions): Promise<void> {
  const { type, uuid, algo, path, sha256, size } = result;
  const { storage, order, attempt, owner, signal } = options;
  const retryIf = (error: unknown) =>
    !isPlatformError(error) || error.retry || error.code === 'digest_mismatch';
  const send = async () => {
    const blob = await openAsBlob(path);
    const body = { body: blob.stream(), blob, contentLength: size, contentDigest: formatDigestField(sha256) };
    const call = { params: { order, attempt }, query: { type, uuid, algo, owner }, body };
    const late = () => new PlatformError('unavailable', `Storage did not take the ${type} in time.`);
    return await withTimeout(uploadMs(size), signal, late, (stop) =>
      storage.stageResult(call, { signal: stop }),
    );
  };
  const pauses = { firstMs: 400, mostMs: 5000, jitter: 0.5 };
  const stored = await retry(send, { ...pauses, tries: 5, retryIf, signal }).catch((error: unknown) => {
    if (isPlatformError(error, 'disk_full'))
      throw diskFull('storage', `Storage has no room for the ${type} of ${formatBytes(size)}.`, error);
    // Of what was collected here, that is one of too many files.
    if (isPlatformError(error, 'invalid_upload'))
      throw new OrderFailure('result_too_large', { message: error.message, step: 'results' }, error);
    if (!isPlatformError(error, 'too_large', 'quota_exceeded')) throw error;
    const message = `The ${type} has ${formatBytes(size)}, more than storage takes: ${error.message}`;
    throw new OrderFailure('result_too_large', { message, step: 'results' }, error);
  });
  if (stored.sha256 === sha256 && stored.size === size) return;
  throw new PlatformError(
    'digest_mismatch',
    `Storage has ${stored.size} bytes with ${stored.sha256} of ${type} ${uuid}; sent were ${size} with ${sha256}.`,
  );
}

/** How long an upload may take: two minutes, and more for what is large, at 1 MB/s. */
function uploadMs(size: number): number {
  return Math.min(120_000 + size / 1000, 2 ** 31 - 1);
}
