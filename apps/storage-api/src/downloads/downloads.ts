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
    await sendBlob(parts, method, await thingFor(parts, place, call), conditions);
  return {
    getBlob: ({ params, headers }, call) => blob('GET', params, headers, call),
    headBlob: ({ params, headers }, call) => blob('HEAD', params, headers, call),
    getDataBlob: ({ params: { uuid }, headers }, call) => blob('GET', { type: 'data', uuid }, headers, call),
    headDataBlob: ({ params: { uuid }, headers }, call) =>
      blob('HEAD', { type: 'data', uuid }, headers, call),
  };
}

/** What is sent of a thing. */
type Sent = Pick<ResourceRow, 'type' | 'uuid' | 'sha256' | 'size'>;

async function thingFor(parts: StorageParts, place: Place, call: Call | undefined): Promise<Sent> {
  const ticket = ticketOf(call?.principal);
  if (ticket !== undefined) return await pinnedThing(parts.database.read, ticket, place.type, place.uuid);
  return await requireResource(parts, place, 'read', call);
}

async function sendBlob(
  parts: StorageParts,
  method: 'GET' | 'HEAD',
  row: Sent,
  conditions: Conditions,
): Promise<BytesOut> {
  const { type, uuid } = row;
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
      throw new PlatformError(
        'precondition_failed',
        `The blob of ${type} ${uuid} is another: it is ${etag}.`,
      );
    case 416:
      throw new PlatformError(
        'range_not_satisfiable',
        `The range ${conditions.range} lies outside the ${row.size} bytes of ${type} ${uuid}.`,
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

/** The fields that describe what is sent; the digest is that of the whole blob (RFC 9530 §3). */
function describe({ uuid, size, sha256 }: Sent, range?: ByteRange): Record<string, string> {
  const length = range === undefined ? size : range.end - range.start + 1;
  return {
    'content-type': 'application/octet-stream',
    'content-length': String(length),
    'content-disposition': `attachment; filename="${uuid}"`,
    'x-content-type-options': 'nosniff',
    'repr-digest': formatDigestField(sha256),
    ...(range === undefined ? {} : { 'content-range': `bytes ${range.start}-${range.end}/${size}` }),
  };
}

/**
 * The headers that send a download to the store itself, where the client prefers that (`Prefer: redirect`, RFC 7240)
 * and the store can: the address is good for a short time, and only there. The store knows tags of its own, so a
 * request that depends on ours is answered here.
 */
async function linkTo(
  { blobs }: StorageParts,
  method: 'GET' | 'HEAD',
  { uuid, sha256 }: Sent,
  status: number,
  conditions: Conditions,
): Promise<Record<string, string> | undefined> {
  const wanted = method === 'GET' && /(?:^|,)\s*redirect\s*(?:$|[,;])/i.test(conditions.prefer ?? '');
  const ours = conditions['if-match'] ?? conditions['if-range'];
  if (!wanted || ours !== undefined || blobs.link === undefined || (status !== 200 && status !== 206))
    return undefined;
  return {
    location: await blobs.link(sha256, { fileName: uuid, contentType: 'application/octet-stream' }),
    'cache-control': 'no-store',
    'preference-applied': 'redirect',
    'repr-digest': formatDigestField(sha256),
    vary: 'Prefer',
    'content-length': '0',
  };
}

/** The whole blob is compared with its digest on its way; a part of it cannot be, and is left to whoever reads it. */
async function openBlob(
  { blobs, damage }: StorageParts,
  row: Sent,
  range?: ByteRange,
): Promise<ReadableStream<Uint8Array>> {
  const whole = row.size === 0 ? undefined : { start: 0, end: row.size - 1 };
  try {
    const stream = await blobs.get(row.sha256, range ?? whole);
    return range === undefined ? damage.verified({ digest: row.sha256, size: row.size }, stream) : stream;
  } catch (error) {
    throw unreadable(row, error);
  }
}

async function refuseDamaged({ damage }: StorageParts, row: Sent): Promise<void> {
  try {
    await damage.refuse(row.sha256);
  } catch (error) {
    if (!isPlatformError(error, 'damaged')) throw error;
    const { message, details } = error;
    throw new PlatformError('damaged', `Error retrieving ${row.type} ${row.uuid}: ${message}`, {
      cause: error,
      details,
    });
  }
}

/** A HEAD promises what a GET would answer, so it looks whether the bytes are there. */
async function requireBlob({ blobs }: StorageParts, row: Sent): Promise<undefined> {
  const found = await blobs.stat(row.sha256);
  if (found?.size !== row.size)
    throw unreadable(row, new Error(`the store has ${found?.size ?? 'no'} bytes`));
}

/** Our fault, whatever the store calls it: the row says that the bytes are there. */
function unreadable({ type, uuid }: Sent, cause: unknown): PlatformError {
  const code = isPlatformError(cause, 'unavailable') ? 'unavailable' : 'internal';
  const message = `Error retrieving ${type} ${uuid}: its bytes cannot be read; the log of the service says why`;
  return new PlatformError(code, message, { cause });
}
