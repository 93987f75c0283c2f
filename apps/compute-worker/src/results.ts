import { openAsBlob } from 'node:fs';
import {
  type Api,
  formatDigestField,
  isPlatformError,
  OrderFailure,
  type Performance,
  PlatformError,
  performance as performanceSchema,
  type StorageContract,
} from '@morpheo/common';
import { span } from '@morpheo/service/trace';
import { z } from 'zod';
import { within } from './abort.ts';
import { formatBytes } from './format.ts';
import type { WorkerMeters } from './meters.ts';
import { patiently } from './patience.ts';

/** The call of storage that takes results. */
export type ResultStorage = Pick<Api<StorageContract>, 'stageResult'>;

/** A result to stage: what it is, and the file that holds it. */
export interface Result {
  readonly type: 'model' | 'prediction';
  /** The id that it will have. */
  readonly uuid: string;
  readonly algo: string;
  readonly path: string;
  /** SHA-256 of the file, as hexadecimal digits. */
  readonly sha256: string;
  readonly size: number;
}

/** What {@link stageResult} works with. */
export interface StageTools {
  readonly storage: ResultStorage;
  readonly order: string;
  readonly attempt: number;
  /** Whose the result is; that of whoever stages it where undefined. */
  readonly owner?: string | undefined;
  readonly signal: AbortSignal;
  readonly meters?: Pick<WorkerMeters, 'resultStaged'> | undefined;
}

/**
 * Uploads a result, and makes sure that storage has it byte for byte; it becomes visible when compute-api publishes
 * it. Throws `OrderFailure` with `disk_full` where storage does not take as much, else storage's error.
 */
export async function stageResult(result: Result, tools: StageTools): Promise<void> {
  const { type, uuid, size: bytes } = result;
  await span('stage result', { type, uuid, bytes }, () => upload(result, tools));
  tools.meters?.resultStaged(bytes);
}

async function upload(result: Result, tools: StageTools): Promise<void> {
  const { type, uuid, algo, path, sha256, size } = result;
  const { storage, order, attempt, owner, signal } = tools;
  const worth = (error: unknown) =>
    !isPlatformError(error) || error.retry || error.code === 'digest_mismatch';
  const stored = await patiently({ retries: 4, signal, worth }, async () => {
    const blob = await openAsBlob(path);
    const body = { body: blob.stream(), blob, contentLength: size, contentDigest: formatDigestField(sha256) };
    const call = { params: { order, attempt }, query: { type, uuid, algo, owner }, body };
    const late = () => new PlatformError('unavailable', `Storage did not take the ${type} in time.`);
    return await within(uploadMs(size), signal, late, (stop) => storage.stageResult(call, { signal: stop }));
  }).catch((error: unknown) => {
    if (!isPlatformError(error, 'too_large', 'quota_exceeded')) throw error;
    const message = `The ${type} has ${formatBytes(size)}, more than storage takes: ${error.message}`;
    throw new OrderFailure({ reason: 'disk_full', message, step: 'results' }, error);
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

const PERFORMANCE_FILE = '/hidden_data/perf/performance.json';

/** Reads what *perf* wrote. Throws `OrderFailure` with `invalid_result` that says what is wrong with it. */
export function parsePerformance(bytes: Uint8Array): Performance {
  const { success, data, error } = performanceSchema.safeParse(parseJson(bytes));
  if (success) return data;
  throw invalid(z.prettifyError(error).slice(0, 2000));
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(`It is not JSON: ${error instanceof Error ? error.message : 'it cannot be read'}`, error);
  }
}

function invalid(what: string, cause?: unknown): OrderFailure {
  const message = `${PERFORMANCE_FILE} is not as the container contract has it. ${what}`;
  return new OrderFailure({ reason: 'invalid_result', message, step: 'perf', file: PERFORMANCE_FILE }, cause);
}
