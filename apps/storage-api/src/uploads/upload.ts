import { randomUUID } from 'node:crypto';
import {
  type Api,
  type BytesIn,
  isPlatformError,
  NIL_UUID,
  PlatformError,
  type Resource,
  type ResourceType,
  type StorageContract,
} from '@morpheo/common';
import { parseResourceId } from '../http/resource-id.ts';
import type { StorageParts } from '../parts.ts';
import { explained, explainedAtFirst } from './errors.ts';
import { announcedBytes, expectedOfBody, expectedOfForm, refuseOverLimit } from './expectations.ts';
import { checkForm, checkPermissions, permissionsOf, readFields, readUploadForm } from './fields.ts';
import { multipartBoundary, notMultipart, parseMediaType, readMultipart } from './multipart.ts';
import { refuseTaken, requireAlgo, storeResource } from './store.ts';

type FormType = 'problem' | 'algo' | 'data' | 'prediction';
type SeedType = Exclude<FormType, 'prediction'>;

/** One upload on its way. */
interface Upload<Type> {
  readonly type: Type;
  readonly body: BytesIn;
  readonly signal?: AbortSignal | undefined;
  readonly owner: string | undefined;
  /** An admin sends it. */
  readonly admin: boolean;
}

/** `POST /:type`: a form in the later dialect of the originals, a raw body in that of their beginnings. */
export function uploadHandler(parts: StorageParts): Api<StorageContract>['upload'] {
  return async ({ params: { type }, query, body }, call) => {
    const { signal, principal } = call ?? {};
    const { admin } = await parts.permissions.askerOf(parts.database.read, call);
    const upload = { body, signal, owner: principal?.name, admin };
    return await explained(`[Error uploading ${type}]`, async () => {
      refuseOverLimit(body, parts.settings);
      const boundary = multipartBoundary(body.contentType ?? '');
      if (boundary !== null) return await uploadForm(parts, { type, ...upload }, boundary);
      if (type === 'prediction' || !isRaw(type, body)) throw noForm(body);
      return await uploadRaw(parts, { type, ...upload }, query);
    });
  };
}

async function uploadForm(
  parts: StorageParts,
  { type, body, signal, owner, admin }: Upload<FormType>,
  boundary: string,
): Promise<Resource> {
  using reader = readMultipart(body.body, boundary);
  const { fields, blob } = await readUploadForm(reader, (uuid) =>
    refuseTaken(parts, { type, uuid, owner, admin }),
  );
  if (blob === null) throw new PlatformError('invalid_upload', 'Premature EOF while parsing request');
  checkForm(type, fields, { change: false, blob: true });
  const { uuid = randomUUID(), name, description } = fields;
  const expected = expectedOfForm(fields, parts.settings);
  const bytes = { source: blob, signal, announced: announcedBytes(fields, body), ...expected };
  const permitted = permissionsOf(type, fields, parts.settings);
  const resource = { type, uuid, name, description, owner, admin, ...permitted };
  const made = await storeResource(parts, resource, bytes);
  await reader.finish();
  return made;
}

/** The first dialect: the body is the blob, and the answer names what was made. */
async function uploadRaw(
  parts: StorageParts,
  { type, body, signal, owner, admin }: Upload<SeedType>,
  { uuid: wanted, ...said }: Said,
): Promise<{ status: string; uuid: string }> {
  return await explainedAtFirst(`[Error uploading ${type}]`, async () => {
    const uuid = newId(wanted);
    const permitted = permissionsSaid(parts, type, said);
    await refuseTaken(parts, { type, uuid, owner, admin });
    const bytes = { source: orNoForm(body), signal, ...expectedOfBody(body) };
    await storeResource(parts, { type, uuid, owner, admin, ...permitted }, bytes);
    return { status: `${type} created`, uuid };
  });
}

/** What the query of an upload may say. */
interface Said {
  readonly uuid?: string | undefined;
  readonly visibility?: string | undefined;
  readonly purpose?: string | undefined;
  readonly problems?: string | undefined;
}

/** The query by the rules of a form, of which only what concerns permissions can be said there. */
function permissionsSaid({ settings }: StorageParts, type: ResourceType, said: Omit<Said, 'uuid'>) {
  const fields = readFields({ ...said });
  checkPermissions(type, fields, false);
  return permissionsOf(type, fields, settings);
}

/** `POST /model?algo=…[&uuid=…]`: the body is the blob, whatever its type says, and its length must be told. */
export function uploadModelHandler(parts: StorageParts): Api<StorageContract>['uploadModel'] {
  return async ({ query, body }, call) => {
    const given = query.algo ?? '';
    const algo = parseResourceId(given, 'algo UUID');
    await requireAlgo(parts, algo, call).catch((error: unknown) => {
      if (!isPlatformError(error, 'not_found')) throw error;
      const message = `Error uploading model: algorithm ${given} not found: ${error.message}`;
      throw new PlatformError('not_found', message);
    });
    const { admin } = await parts.permissions.askerOf(parts.database.read, call);
    const uuid = newId(query.uuid, 'model UUID');
    return await explained('[Error uploading model]', async () => {
      if (body.contentLength === undefined) throw noLength();
      refuseOverLimit(body, parts.settings);
      const owner = call?.principal?.name;
      const permitted = permissionsSaid(parts, 'model', { visibility: query.visibility });
      await refuseTaken(parts, { type: 'model', uuid, owner, admin });
      const bytes = { source: body.body, signal: call?.signal, ...expectedOfBody(body) };
      const model = { type: 'model', uuid, algo, owner, admin, ...permitted } as const;
      return await storeResource(parts, model, bytes);
    });
  };
}

function noLength(): PlatformError {
  return new PlatformError(
    'invalid_upload',
    "Error parsing header 'Content-Length': should be blob size in bytes. " +
      'err: strconv.ParseInt: parsing "": invalid syntax',
  );
}

/** The id that was asked for, or a new one for none and for nil. */
function newId(wanted: string | undefined, what?: string): string {
  const uuid = wanted === undefined || wanted === '' ? NIL_UUID : parseResourceId(wanted, what);
  return uuid === NIL_UUID ? randomUUID() : uuid;
}

/** The types of bytes as they are. Who says nothing, as clients of the first dialect, means the same. */
const TYPES_OF_BYTES =
  /^(?:(?:application|binary)\/octet-stream|application\/(?:x-)?(?:gzip|tar|gtar|compressed-tar|tgz|zip|xz|bzip2|zstd))$/;
/** What curl says of `--data-binary` by itself, whatever the bytes are. */
const TYPE_OF_CURL = 'application/x-www-form-urlencoded';
/** What a form of that type is made of (WHATWG URL §5.2). */
const FORM_TEXT = /^[\w.*+%&=~-]+$/;

/**
 * Whether a body may be one of the first dialect: anything else is a form that went wrong, or meant for another API. A
 * problem and an algo are archives; a data set may be anything, but who sends JSON to an API means its fields.
 */
function isRaw(of: SeedType, body: BytesIn): boolean {
  const type = typeOf(body);
  if (type === '' || type === TYPE_OF_CURL || TYPES_OF_BYTES.test(type)) return true;
  return of === 'data' && !/[/+]json$/.test(type);
}

/** The type without its parameters, in lower case; empty where there is none. */
function typeOf({ contentType = '' }: BytesIn): string {
  return contentType.trim() === '' ? '' : parseMediaType(contentType).essence;
}

/** An empty body that says it is no form is none of the first dialect either, nor is the text of a form. */
async function* orNoForm(body: BytesIn): AsyncGenerator<Uint8Array> {
  const fromCurl = typeOf(body) === TYPE_OF_CURL;
  let empty = true;
  for await (const piece of body.body) {
    if (piece.byteLength === 0) continue;
    if (empty && fromCurl && FORM_TEXT.test(Buffer.from(piece).toString('latin1'))) throw noForm(body);
    empty = false;
    yield piece;
  }
  if (empty) throw noForm(body);
}

function noForm({ contentType }: BytesIn): PlatformError {
  return notMultipart(parseMediaType(contentType).essence);
}
