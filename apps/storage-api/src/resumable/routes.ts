import { createHash, randomUUID } from 'node:crypto';
import {
  type Api,
  type Call,
  PlatformError,
  type StorageContract,
  TUS_CHUNK_TYPE,
  TUS_VERSION,
} from '@morpheo/common';
import type { UploadRow } from '../metadata/schema.ts';
import type { StorageParts } from '../parts.ts';
import type { UploadBounds } from '../quotas/open-uploads.ts';
import { explained } from '../uploads/errors.ts';
import { refuseTaken, requireAlgo } from '../uploads/store.ts';
import { appendChunk, CHECKSUM_ALGORITHMS, type Chunk, readChecksum, sizeOf } from './file.ts';
import { dropUpload, fileOf, finishUpload, oneAtATime, type UploadContext } from './finish.ts';
import { readMetadata } from './metadata.ts';
import { advanceUpload, beginUpload, findUpload } from './store.ts';
import { sweepUploads } from './sweep.ts';

type StorageApi = Api<StorageContract>;
type Routes = Pick<
  StorageApi,
  'uploadOptions' | 'createUpload' | 'headUpload' | 'patchUpload' | 'deleteUpload'
>;

const UPLOAD_ID = /^[\da-f-]{36}$/;

/** Resumable uploads. */
export interface Resumable {
  readonly api: Routes;
  /** Throws away the uploads that nobody ended in time. */
  sweep(): Promise<void>;
}

/**
 * Uploads that may be cut at any moment and go on from there, by the tus protocol 1.0. The bytes are one file in
 * `folder` until the last has come; the database counts those that are synced. What the file has beyond the count is
 * dropped; where it has less (it was lost), the upload goes on from there.
 */
export function createResumable(parts: StorageParts, folder: string): Resumable {
  const context: UploadContext = { parts, folder, digested: new Map(), alone: oneAtATime() };
  return {
    api: {
      uploadOptions: async () => ({
        headers: {
          'tus-extension': 'creation,expiration,checksum,termination',
          'tus-max-size': String(parts.settings.maxUploadBytes),
          'tus-checksum-algorithm': CHECKSUM_ALGORITHMS.join(','),
        },
      }),
      createUpload: createHandler(context),
      headUpload: headHandler(context),
      patchUpload: patchHandler(context),
      deleteUpload: async ({ params: { upload: id }, headers }, call) => {
        requireVersion(headers);
        await context.alone(id, async () => {
          await ownUpload(context, id, call);
          await dropUpload(context, id);
        });
        return { headers: {} };
      },
    },
    sweep: () => sweepUploads(context),
  };
}

function createHandler(context: UploadContext): Routes['createUpload'] {
  const { parts } = context;
  return async ({ headers }, call) => {
    requireVersion(headers);
    const size = headers['upload-length'];
    if (size === undefined) {
      throw new PlatformError('invalid_request', 'Upload-Length is missing: say how many bytes will come.');
    }
    if (size > parts.settings.maxUploadBytes) throw tooLarge(parts.settings.maxUploadBytes);
    const metadata = headers['upload-metadata'] ?? '';
    const { type, uuid, algo } = readMetadata(metadata);
    const { admin } = await parts.permissions.askerOf(parts.database.read, call);
    const creator = callerOf(call);
    const upload = await explained(`[Error uploading ${type}]`, async () => {
      await refuseTaken(parts, { type, uuid, owner: creator, admin });
      if (algo !== undefined) await requireAlgo(parts, algo, call);
      using budget = await parts.budgets.open(creator, { announced: size });
      const begun = { id: randomUUID(), creator, type, uuid, metadata, size };
      return await beginUpload(parts.database, begun, { quota: budget.quota, bounds: boundsOf(parts) });
    });
    parts.log.info({ upload: upload.id, type, uuid, bytes: size }, 'A resumable upload begins');
    // Nothing more comes of an empty file: clients send no chunk of it.
    if (size === 0) await context.alone(upload.id, () => finishUpload(context, upload, call));
    // Relative, so that it holds behind a proxy that puts a path before ours.
    return { headers: { location: `uploads/${upload.id}`, ...stateHeaders(context, upload, 0) } };
  };
}

/** Of bytes by default ten times the largest upload, so that one is never too many. */
function boundsOf({ settings }: StorageParts): UploadBounds {
  const { openUploads, openUploadBytes = 10 * settings.maxUploadBytes } = settings;
  return { openUploads, openUploadBytes };
}

function headHandler(context: UploadContext): Routes['headUpload'] {
  return async ({ params: { upload: id }, headers }, call) => {
    requireVersion(headers);
    let upload = await ownUpload(context, id, call);
    // A client that hears that all has come sends nothing more: what a crash left undone is done now. While a chunk
    // comes, `locked` keeps the client from sending one that could only be refused.
    if (upload.finished_at === null) upload = await context.alone(id, () => finishAgain(context, id, call));
    const length = { 'upload-length': String(upload.size), 'upload-metadata': upload.metadata };
    return { headers: { ...stateHeaders(context, upload, await offsetOf(context, upload)), ...length } };
  };
}

async function finishAgain(context: UploadContext, id: string, call: Call | undefined): Promise<UploadRow> {
  const upload = await ownUpload(context, id, call);
  if ((await offsetOf(context, upload)) < upload.size) return upload;
  await finishUpload(context, upload, call);
  return await ownUpload(context, id, call);
}

function patchHandler(context: UploadContext): Routes['patchUpload'] {
  return async ({ params: { upload: id }, headers, body }, call) => {
    requireVersion(headers);
    if (body.contentType !== TUS_CHUNK_TYPE) {
      throw new PlatformError('unsupported_media_type', `A chunk is sent as ${TUS_CHUNK_TYPE}.`);
    }
    const checksum = readChecksum(headers['upload-checksum']);
    return await context.alone(id, async () => {
      let upload = await ownUpload(context, id, call);
      const from = await offsetOf(context, upload);
      if (headers['upload-offset'] !== from) throw wrongOffset(from);
      if (upload.finished_at === null) {
        upload = await append(context, upload, { from, body, checksum });
        if (upload.received === upload.size) await finishUpload(context, upload, call);
      }
      return { headers: stateHeaders(context, upload, upload.received) };
    });
  };
}

/** Appends a chunk to an upload, of which `from` bytes are there; the row as it is then. Throws as {@link appendChunk}. */
async function append(
  context: UploadContext,
  before: UploadRow,
  { from, ...chunk }: Pick<Chunk, 'from' | 'body' | 'checksum'>,
): Promise<UploadRow> {
  const { id, size: end } = before;
  let upload = before;
  const synced = async (received: number) => {
    upload = await advanceUpload(context.parts.database, upload, received);
  };
  using digest = digesting(context, id, from, () => upload.received);
  await appendChunk({ path: fileOf(context, id), from, end, ...chunk, look: digest.look, synced });
  return upload;
}

/** So many uploads under way are digested as they come; others when they have come. */
const MOST_DIGESTED = 1000;

/** Digests what a chunk brings, behind what came before; it is known further on if all of that counts in the end. */
function digesting({ digested }: UploadContext, id: string, from: number, received: () => number) {
  const before = digested.get(id);
  const known = from === 0 ? createHash('sha256') : before?.bytes === from ? before.hash : undefined;
  digested.delete(id);
  let bytes = from;
  return {
    look(piece: Uint8Array) {
      known?.update(piece);
      bytes += piece.byteLength;
    },
    [Symbol.dispose]() {
      if (known !== undefined && bytes === received() && digested.size < MOST_DIGESTED)
        digested.set(id, { hash: known, bytes });
    },
  };
}

/** How many bytes of an upload are there to go on from; all, once it has come to its end. */
async function offsetOf(context: UploadContext, upload: UploadRow): Promise<number> {
  if (upload.finished_at !== null) return upload.size;
  return Math.min(upload.received, await sizeOf(fileOf(context, upload.id)));
}

/** The upload, for whoever began it and for admins. Throws `not_found` and `forbidden`. */
async function ownUpload(context: UploadContext, id: string, call: Call | undefined): Promise<UploadRow> {
  const upload = UPLOAD_ID.test(id) ? await findUpload(context.parts.database.read, id) : undefined;
  if (upload === undefined) throw new PlatformError('not_found', `There is no upload ${id}, or it expired.`);
  const admin = call?.principal === undefined || call.principal.roles.includes('admin');
  if (admin || upload.creator === callerOf(call)) return upload;
  throw new PlatformError('forbidden', 'Somebody else began this upload, and alone may go on with it.');
}

/** Without credentials everybody is the same, and nobody known owns what is uploaded. */
function callerOf(call: Call | undefined): string {
  return call?.principal?.name ?? '';
}

function stateHeaders({ parts }: UploadContext, upload: UploadRow, offset: number): Record<string, string> {
  const expires = new Date(upload.touched_at + parts.settings.uploadExpiryMs).toUTCString();
  return {
    'upload-offset': String(offset),
    'upload-resource': `/${upload.type}/${upload.uuid}`,
    ...(upload.finished_at === null ? { 'upload-expires': expires } : {}),
    'cache-control': 'no-store',
  };
}

function requireVersion({ 'tus-resumable': version }: { readonly 'tus-resumable'?: string | undefined }) {
  if (version === TUS_VERSION) return;
  throw new PlatformError('precondition_failed', `Send Tus-Resumable: ${TUS_VERSION}, which is spoken here.`);
}

function wrongOffset(offset: number): PlatformError {
  return new PlatformError('wrong_state', `The upload goes on at byte ${offset}: send Upload-Offset so.`, {
    details: { offset },
  });
}

function tooLarge(limit: number): PlatformError {
  return new PlatformError('too_large', `The upload is larger than the ${limit} bytes that are taken.`, {
    details: { limit },
  });
}
