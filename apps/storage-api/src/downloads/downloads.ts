import {
  type Api,
  type BytesOut,
  type Call,
  formatDigestField,
  isPlatformError,
  PlatformError,
  type StorageContract,
} from '@morpheo/common';
import type { ByteRange } from '../blobs/index.ts';
import { type Place, requireResource } from '../http/resources.ts';
import type { ResourceRow } from '../metadata/schema.ts';
import type { StorageParts } from '../parts.ts';
import { pinnedThing, ticketOf } from '../pins/attempt.ts';
import { type Conditions, selectRepresentation } from './conditions.ts';

type BlobRoutes = Pick<Api<StorageContract>, 'getBlob' | 'headBlob' | 'getDataBlob' | 'headDataBlob'>;

/** The routes by which bytes go out: whole, in part, or not at all, as the conditions of the request ask. */
export function downloadHandlers(parts: StorageParts): BlobRoutes {
  const blob = async (method: 'GET' | 'HEAD', place: Place, conditions: Conditions, call: Call | undefined) =>
    await sendBytes(parts, method, wholeOf(await readableThing(parts, place, call)), conditions);
  return {
    getBlob: ({ params, headers }, call) => blob('GET', params, headers, call),
    headBlob: ({ params, headers }, call) => blob('HEAD', params, headers, call),
    getDataBlob: ({ params: { uuid }, headers }, call) => blob('GET', { type: 'data', uuid }, headers, call),
    headDataBlob: ({ params: { uuid }, headers }, call) =>
      blob('HEAD', { type: 'data', uuid }, headers, call),
  };
}

/** What is known of a thing whose bytes somebody may read. */
export type Readable = Pick<ResourceRow, 'type' | 'uuid' | 'sha256' | 'size'>;

/** The thing whose bytes the caller may read, or, by a ticket, has pinned. Throws as `requireResource` does. */
export async function readableThing(
  parts: StorageParts,
  place: Place,
  call: Call | undefined,
): Promise<Readable> {
  const ticket = ticketOf(call?.principal);
  if (ticket !== undefined) return await pinnedThing(parts.database.read, ticket, place.type, place.uuid);
  return await requireResource(parts, place, 'read', call);
}

/** Bytes that are sent: all of a blob, or a part of it. */
export interface Sent {
  /** What they are, in messages. */
  readonly name: string;
  readonly fileName: string;
  /** Of these bytes. */
  readonly sha256: string;
  readonly size: number;
  /** Where in which blob they lie; they are a blob where absent. */
  readonly part?: { readonly blob: string; readonly offset: number } | undefined;
}

function wholeOf({ type, uuid, sha256, size }: Readable): Sent {
  return { name: `${type} ${uuid}`, fileName: uuid, sha256, size };
}

function blobOf({ part, sha256 }: Sent): string {
  return part?.blob ?? sha256;
}

/** Answers a GET or HEAD for bytes that the caller may read, as its conditions ask. */
export async function sendBytes(
  parts: StorageParts,
  method: 'GET' | 'HEAD',
  row: Sent,
  conditions: Conditions,
): Promise<BytesOut> {
  const { name } = row;
  await refuseDamaged(parts, row);
  const etag = `"${row.sha256}"`;
  const selection = selectRepresentation(method, conditions, { etag, size: row.size });
  const known = { etag, 'cache-control': 'private, no-cache', 'accept-ranges': 'bytes' };
  const link = await linkTo(parts, method, row, selection.status, conditions);
  if (link !== undefined) return { status: 307, headers: link };
  switch (selection.status) {
    case 304:
      return { status: 304, headers: known };
    case 412:
      throw new PlatformError('precondition_failed', `The blob of ${name} is another: it is ${etag}.`);
    case 416:
      throw new PlatformError(
        'range_not_satisfiable',
        `The range ${conditions.range} lies outside the ${row.size} bytes of ${name}.`,
        { details: { size: row.size } },
      );
    case 206:
      return {
        status: 206,
        headers: { ...known, ...describe(row, selection.range) },
        body: await openBlob(parts, row, selection.range),
      };
    case 200:
      return {
        status: 200,
        headers: { ...known, ...describe(row) },
        body: method === 'HEAD' ? await requireBlob(parts, row) : await openBlob(parts, row),
      };
  }
}

/** The fields that describe what is sent; the digest is that of the whole (RFC 9530 §3). */
function describe({ fileName, size, sha256 }: Sent, range?: ByteRange): Record<string, string> {
  const length = range === undefined ? size : range.end - range.start + 1;
  return {
    'content-type': 'application/octet-stream',
    'content-length': String(length),
    'content-disposition': dispositionOf(fileName),
    'x-content-type-options': 'nosniff',
    'repr-digest': formatDigestField(sha256),
    ...(range === undefined ? {} : { 'content-range': `bytes ${range.start}-${range.end}/${size}` }),
  };
}

/** A name of a file as a browser keeps it (RFC 6266); what is no plain letter is said in a second form as well. */
function dispositionOf(fileName: string): string {
  const plain = fileName.replaceAll(/[^\w.-]/g, '_');
  if (plain === fileName) return `attachment; filename="${plain}"`;
  const encoded = encodeURIComponent(fileName).replaceAll(
    /['()*!]/g,
    (one) => `%${one.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

/**
 * The headers that send a download to the store itself, where the client prefers that (`Prefer: redirect`, RFC 7240)
 * and the store can: the address is good for a short time, and only there. The store knows tags of its own, so a
 * request that depends on ours is answered here.
 */
async function linkTo(
  { blobs }: StorageParts,
  method: 'GET' | 'HEAD',
  { fileName, sha256, part }: Sent,
  status: number,
  conditions: Conditions,
): Promise<Record<string, string> | undefined> {
  const wanted = method === 'GET' && /(?:^|,)\s*redirect\s*(?:$|[,;])/i.test(conditions.prefer ?? '');
  const ours = conditions['if-match'] ?? conditions['if-range'];
  if (
    !wanted ||
    part !== undefined ||
    ours !== undefined ||
    blobs.link === undefined ||
    (status !== 200 && status !== 206)
  )
    return undefined;
  return {
    location: await blobs.link(sha256, { fileName, contentType: 'application/octet-stream' }),
    'cache-control': 'no-store',
    'preference-applied': 'redirect',
    'repr-digest': formatDigestField(sha256),
    vary: 'Prefer',
    'content-length': '0',
  };
}

/** The whole is compared with its digest on its way; a range of it cannot be, and is left to whoever reads it. */
async function openBlob(
  { blobs, damage }: StorageParts,
  row: Sent,
  range?: ByteRange,
): Promise<ReadableStream<Uint8Array>> {
  const { sha256, size, part } = row;
  // Nothing of a blob cannot be asked for, and of nothing there is nothing to compare.
  if (part !== undefined && size === 0) return new Blob([]).stream();
  const whole = size === 0 ? undefined : { start: 0, end: size - 1 };
  const wanted = range ?? whole;
  const at = part?.offset ?? 0;
  try {
    const inBlob = wanted === undefined ? undefined : { start: at + wanted.start, end: at + wanted.end };
    const stream = await blobs.get(blobOf(row), inBlob);
    return range === undefined ? damage.verified({ digest: sha256, size }, stream, blobOf(row)) : stream;
  } catch (error) {
    throw unreadable(row, error);
  }
}

async function refuseDamaged({ damage }: StorageParts, row: Sent): Promise<void> {
  try {
    await damage.refuse(blobOf(row));
  } catch (error) {
    if (!isPlatformError(error, 'damaged')) throw error;
    const { message, details } = error;
    throw new PlatformError('damaged', `Error retrieving ${row.name}: ${message}`, {
      cause: error,
      details,
    });
  }
}

/** A HEAD promises what a GET would answer, so it looks whether the bytes are there. */
async function requireBlob({ blobs }: StorageParts, row: Sent): Promise<undefined> {
  const found = await blobs.stat(blobOf(row));
  const isThere = row.part === undefined ? found?.size === row.size : found !== null;
  if (!isThere) throw unreadable(row, new Error(`the store has ${found?.size ?? 'no'} bytes`));
}

/** Our fault, whatever the store calls it: the row says that the bytes are there. */
function unreadable({ name }: Sent, cause: unknown): PlatformError {
  const code = isPlatformError(cause, 'unavailable') ? 'unavailable' : 'internal';
  const message = `Error retrieving ${name}: its bytes cannot be read; the log of the service says why`;
  return new PlatformError(code, message, { cause });
}
