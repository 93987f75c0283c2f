import { createReadStream, openAsBlob } from 'node:fs';
import { uploadForm } from '@morpheo/client';
import { type Api, formatDigestField, PlatformError, type StorageContract } from '@morpheo/common';
import type { Progress } from '../terminal/progress.ts';
import type { ToUpload, UploadType } from './to-upload.ts';

/** What goes with the bytes; each only where the type takes it. */
export interface UploadFields {
  readonly uuid?: string | undefined;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly algo?: string | undefined;
  readonly visibility?: string | undefined;
  readonly purpose?: string | undefined;
  /** The ids of the problems that a data set tests, by comma. */
  readonly problems?: string | undefined;
}

/**
 * Sends a prepared file to storage with its digest, which storage checks before anybody can see the thing. Returns
 * the id that it has there. Throws `PlatformError`.
 */
export async function sendUpload(
  storage: Api<StorageContract>,
  type: UploadType,
  file: ToUpload,
  fields: UploadFields,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  const answer =
    type === 'model'
      ? await sendModel(storage, file, fields, progress, signal)
      : await sendForm(storage, type, file, fields, progress, signal);
  if ('sha256' in answer && answer.sha256 !== file.sha256) {
    throw new PlatformError(
      'digest_mismatch',
      `Storage holds other bytes under ${answer.uuid} than ${file.source} has (SHA-256 ${answer.sha256}, not ${file.sha256}).`,
    );
  }
  return answer.uuid;
}

async function sendModel(
  storage: Api<StorageContract>,
  file: ToUpload,
  { algo, uuid, visibility }: UploadFields,
  progress: Progress,
  signal: AbortSignal,
) {
  const body = {
    body: measured(createReadStream(file.path, { signal }), progress),
    contentType: 'application/gzip',
    contentLength: file.size,
    contentDigest: formatDigestField(file.sha256),
  };
  return await storage.uploadModel({ query: { algo, uuid, visibility }, body }, { signal });
}

async function sendForm(
  storage: Api<StorageContract>,
  type: Exclude<UploadType, 'model'>,
  file: ToUpload,
  { uuid, name, description, visibility, purpose, problems }: UploadFields,
  progress: Progress,
  signal: AbortSignal,
) {
  const permissions = { visibility, purpose, problems };
  const bytes = { size: String(file.size), sha256: file.sha256 };
  const fields = { uuid, name, description, ...permissions, ...bytes };
  let reported = 0;
  const body = uploadForm({
    fields: Object.fromEntries(
      Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined),
    ),
    blob: await openAsBlob(file.path),
    onProgress(sent) {
      const sentOfFile = Math.min(sent, file.size);
      progress.add(sentOfFile - reported);
      reported = sentOfFile;
    },
  });
  return await storage.upload({ params: { type }, query: {}, body }, { signal });
}

/** Hands bytes on as they come, and counts them in `progress`. */
async function* measured(
  source: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    progress.add(chunk.byteLength);
    yield chunk;
  }
}
