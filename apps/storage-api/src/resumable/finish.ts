import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Call, isPlatformError, PlatformError } from '@morpheo/common';
import type { UploadRow } from '../metadata/schema.ts';
import type { StorageParts } from '../parts.ts';
import { explained } from '../uploads/errors.ts';
import { permissionsOf } from '../uploads/fields.ts';
import { requireAlgo, storeResource } from '../uploads/store.ts';
import { readMetadata } from './metadata.ts';
import { markFinished, removeUpload } from './store.ts';

/** What the bytes of an upload that have come so far are: kept in memory alone, and so known until a restart. */
export interface Digested {
  readonly hash: Hash;
  readonly bytes: number;
}

/** What the routes of resumable uploads work with. */
export interface UploadContext {
  readonly parts: StorageParts;
  /** Where the bytes wait for their rest. */
  readonly folder: string;
  /** By the id of an upload. */
  readonly digested: Map<string, Digested>;
  /** Runs work on an upload while nobody else does. Throws `locked`, at once, where somebody does. */
  readonly alone: <T>(id: string, work: () => Promise<T>) => Promise<T>;
}

/** The file of an upload. */
export function fileOf({ folder }: UploadContext, id: string): string {
  return join(folder, id);
}

/** Lets one work at a time have an upload, and refuses the others. */
export function oneAtATime(): UploadContext['alone'] {
  const busy = new Set<string>();
  return async (id, work) => {
    if (busy.has(id)) {
      throw new PlatformError('locked', 'Another request is working on this upload: try again in a moment.');
    }
    busy.add(id);
    try {
      return await work();
    } finally {
      busy.delete(id);
    }
  };
}

/**
 * Makes an upload whose bytes are all there a thing, by the way of every other upload; again, it does nothing. The thing
 * appears in the transaction that ends the upload, so that at any moment either it is there whole, or this can be done
 * again. Throws what an upload in one piece throws; where trying again cannot help, the upload is gone then.
 */
export async function finishUpload(
  context: UploadContext,
  upload: UploadRow,
  call: Call | undefined,
): Promise<void> {
  if (upload.finished_at !== null) return;
  const { id, type, uuid, size, creator: owner } = upload;
  const { digest, fields, ...described } = readMetadata(upload.metadata);
  const path = fileOf(context, id);
  // Of an upload without bytes there is no file.
  const source = size === 0 ? noBytes() : readBytes(path);
  const known = context.digested.get(id);
  const ready = known?.bytes === size ? { path, size, digest: known.hash.copy().digest('hex') } : undefined;
  const bytes = { source, size, digest, ready, signal: call?.signal, reserved: size };
  try {
    const { parts } = context;
    const { admin } = await parts.permissions.askerOf(parts.database.read, call);
    const resource = { ...described, uuid, owner, admin, ...permissionsOf(type, fields, parts.settings) };
    await explained(`[Error uploading ${type}]`, async () => {
      // Once more, since it may have been taken back since the upload began.
      if (resource.algo !== undefined) await requireAlgo(parts, resource.algo, call);
      await storeResource(parts, resource, bytes, markFinished(parts.database, id));
    });
  } catch (error) {
    const hopeless = isPlatformError(
      error,
      'conflict',
      'digest_mismatch',
      'not_found',
      'forbidden',
      'too_large',
    );
    if (hopeless) await dropUpload(context, id);
    throw error;
  }
  context.digested.delete(id);
  await rm(path, { force: true });
  context.parts.log.info({ upload: id, type, uuid, bytes: size }, 'A resumable upload has come to its end');
}

/** Opens the file when the first byte is asked for, so that whoever asks for none leaves nothing open. */
async function* readBytes(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path, { highWaterMark: 1 << 19 });
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

/** Forgets an upload and removes its bytes; in this order, since bytes that nobody knows are swept. */
export async function dropUpload(context: UploadContext, id: string): Promise<void> {
  context.digested.delete(id);
  await removeUpload(context.parts.database, id);
  await rm(fileOf(context, id), { force: true });
}
