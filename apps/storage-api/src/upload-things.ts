import { randomUUID } from 'node:crypto';
import {
  type Api,
  type BytesIn,
  NIL_UUID,
  PlatformError,
  type Resource,
  type StorageContract,
} from '@morpheo/common';
import { announcedBytes, expectedOfBody, expectedOfForm, refuseOverLimit } from './expectations.ts';
import { multipartBoundary, notMultipart, parseMediaType, readMultipart } from './multipart.ts';
import { parseResourceId } from './resource-id.ts';
import type { StorageParts } from './storage-parts.ts';
import { refuseTaken, storeResource } from './store-upload.ts';
import { explained, explainedAtFirst } from './upload-errors.ts';
import { checkForm, readUploadForm } from './upload-form.ts';

type FormType = 'problem' | 'algo' | 'data' | 'prediction';
type SeedType = Exclude<FormType, 'prediction'>;

/** One upload on its way. */
interface Upload<Type> {
  readonly type: Type;
  readonly body: BytesIn;
  readonly signal?: AbortSignal | undefined;
  readonly owner: string | undefined;
}

/** `POST /:type`: a form in the later dialect of the originals, a raw body in that of their beginnings. */
export function uploadHandler(parts: StorageParts): Api<StorageContract>['upload'] {
  return async ({ params: { type }, query, body }, call) => {
    const { signal, principal } = call ?? {};
    const owner = principal?.name;
    return await explained(`[Error uploading ${type}]`, async () => {
      refuseOverLimit(body, parts.settings);
      const boundary = multipartBoundary(body.contentType ?? '');
      if (boundary !== null) return await uploadForm(parts, { type, body, signal, owner }, boundary);
      if (type === 'prediction') throw noForm(body);
      return await uploadRaw(parts, { type, body, signal, owner }, query.uuid);
    });
  };
}

async function uploadForm(
  parts: StorageParts,
  { type, body, signal, owner }: Upload<FormType>,
  boundary: string,
): Promise<Resource> {
  using reader = readMultipart(body.body, boundary, body.release);
  const { fields, blob } = await readUploadForm(reader, (uuid) => refuseTaken(parts, type, uuid));
  if (blob === null) throw new PlatformError('invalid_upload', 'Premature EOF while parsing request');
  checkForm(type, fields, { change: false, blob: true });
  const { uuid = randomUUID(), name, description } = fields;
  const expected = expectedOfForm(fields, parts.settings);
  const bytes = { source: blob, signal, announced: announcedBytes(fields, body), ...expected };
  const made = await storeResource(parts, { type, uuid, name, description, owner }, bytes);
  await reader.finish();
  return made;
}

/** The first dialect: the body is the blob, and the answer names what was made. */
async function uploadRaw(
  parts: StorageParts,
  { type, body, signal, owner }: Upload<SeedType>,
  wanted: string | undefined,
): Promise<{ status: string; uuid: string }> {
  return await explainedAtFirst(`[Error uploading ${type}]`, async () => {
    const uuid = newId(wanted);
    await refuseTaken(parts, type, uuid);
    const bytes = { source: orNoForm(body), release: body.release, signal, ...expectedOfBody(body) };
    await storeResource(parts, { type, uuid, owner }, bytes);
    return { status: `${type} created`, uuid };
  });
}

/** The id that was asked for, or a new one for none and for nil. */
export function newId(wanted: string | undefined, what?: string): string {
  const uuid = wanted === undefined || wanted === '' ? NIL_UUID : parseResourceId(wanted, what);
  return uuid === NIL_UUID ? randomUUID() : uuid;
}

/** An empty body that says it is no form is none of the first dialect either, but a form that went wrong. */
async function* orNoForm(body: BytesIn): AsyncGenerator<Uint8Array> {
  let empty = true;
  for await (const piece of body.body) {
    if (piece.byteLength > 0) empty = false;
    yield piece;
  }
  if (empty) throw noForm(body);
}

function noForm({ contentType }: BytesIn): PlatformError {
  return notMultipart(parseMediaType(contentType).essence);
}
