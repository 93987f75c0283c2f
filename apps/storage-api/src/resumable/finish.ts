import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { isPlatformError } from '@morpheo/common';
import { storeResource } from '../store-upload.ts';
import { explained } from '../upload-errors.ts';
import { fileOf, type UploadContext } from './context.ts';
import { readMetadata } from './metadata.ts';
import type { UploadRow } from './upload-table.ts';

/**
 * Makes an upload whose bytes are all there a thing, by the way of every other upload; again, it does nothing. The thing
 * appears in the transaction that ends the upload, so that at any moment either it is there whole, or this can be done
 * again. Throws what an upload in one piece throws; where trying again cannot help, the upload is gone then.
 */
export async function finishUpload(
  context: UploadContext,
  upload: UploadRow,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (upload.finished_at !== null) return;
  const { id, type, uuid, size, creator: owner } = upload;
  const { digest, ...described } = readMetadata(upload.metadata, size);
  const path = fileOf(context, id);
  const bytes = { source: readBytes(path), size, digest, signal, reserved: size };
  try {
    const resource = { ...described, uuid, owner };
    await explained(`[Error uploading ${type}]`, () =>
      storeResource(context.parts, resource, bytes, context.uploads.finished(id)),
    );
  } catch (error) {
    const hopeless = isPlatformError(error, 'conflict', 'digest_mismatch', 'not_found', 'too_large');
    if (hopeless) await dropUpload(context, id);
    throw error;
  }
  await rm(path, { force: true });
  context.parts.log.info({ upload: id, type, uuid, bytes: size }, 'A resumable upload has come to its end');
}

/** Opens the file when the first byte is asked for, so that whoever asks for none leaves nothing open. */
async function* readBytes(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path, { highWaterMark: 1 << 19 });
}

/** Forgets an upload and removes its bytes; in this order, since bytes that nobody knows are swept. */
export async function dropUpload(context: UploadContext, id: string): Promise<void> {
  await context.uploads.remove(id);
  await rm(fileOf(context, id), { force: true });
}
