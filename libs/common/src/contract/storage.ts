import { z } from 'zod';
import { sha256Hex } from '../digest.ts';
import { uuid } from '../uuid.ts';
import { ANYONE_KNOWN, bytes, defineContract, json, nothing } from './contract.ts';
import { pageQuery } from './paging.ts';
import { RESOURCE_TYPES, resource } from './resources.ts';
import { uploadEndpoints } from './uploads.ts';
import { usage } from './usage.ts';

const type = z.enum(RESOURCE_TYPES);
/** Parsed by the handler, so that a bad id gets the original's text. */
const rawUuid = z.string().max(200);

const item = { params: z.object({ type, uuid: rawUuid }) };
const conditions = z.object({
  range: z.string().max(200).optional(),
  'if-range': z.string().max(200).optional(),
  'if-none-match': z.string().max(2000).optional(),
  'if-match': z.string().max(2000).optional(),
  /** `redirect`: 307 to where the bytes are kept is welcome, where the service can do that. */
  prefer: z.string().max(200).optional(),
});

const list = z.object({
  items: z.array(resource),
  length: z.int(),
  page: z.int(),
  total: z.int(),
  next: z.string().optional(),
});

const uploaded = z.union([resource, z.object({ status: z.string(), uuid: z.string() })]);
const seedTypes = z.object({ type: z.enum(['problem', 'algo', 'data', 'prediction']) });
const attempt = z.object({ order: uuid, attempt: z.coerce.number().int().min(1) });

const REDIRECT =
  'To `Prefer: redirect` the answer may be 307 with the address, good for a short time, of the store that keeps the bytes.';

/** storage-api: the routes of the original in both of its dialects, and ours. */
export const storageContract = defineContract({
  title: 'Morpheo storage API',
  description: 'Keeps problems, algorithms, models, data and predictions: what they are, and their bytes.',
  errorKey: 'error',
  realm: 'Authorization Required',
  emptyUnauthorized: true,
  order: 'order',
  endpoints: {
    index: {
      method: 'GET',
      path: '/',
      summary: 'The patterns of the routes',
      access: 'public',
      status: 200,
      response: json(z.array(z.string())),
      errors: [],
      classic: true,
    },
    usage: {
      method: 'GET',
      path: '/v1/usage',
      summary:
        'The bytes that are used, by owner and kind: all of them for an admin, else those of the caller',
      description:
        'The owner is the name of who uploaded, and of a result that of its order. `bytes` count each thing by itself, ' +
        'and so does a quota, which `reserved_bytes` of uploads under way count for as well; `stored_bytes` count each ' +
        'blob once.',
      access: ANYONE_KNOWN,
      status: 200,
      response: json(usage),
      errors: [],
    },
    stageResult: {
      method: 'PUT',
      path: '/v1/results/:order/:attempt',
      summary: 'Stage the result of an attempt: stored and synced, visible to nobody until it is published',
      description:
        'A second call of the same attempt replaces what the first one staged; one of an attempt that a later one has ' +
        'overtaken here is 409. `uuid` is the id that the model or ' +
        'prediction will have, `owner` whose bytes they are (the caller where absent); `Content-Digest`, where given, is checked.',
      access: ['worker'],
      params: attempt,
      query: z.object({
        type: z.enum(['model', 'prediction']),
        uuid,
        algo: uuid.optional(),
        /** Whose result it is; the caller's where absent. */
        owner: z.string().min(1).max(200).optional(),
      }),
      body: bytes(),
      status: 201,
      response: json(z.object({ size: z.int(), sha256: sha256Hex })),
      errors: [
        'invalid_request',
        'digest_mismatch',
        'not_found',
        'stale_attempt',
        'too_large',
        'disk_full',
        'quota_exceeded',
      ],
    },
    publishResult: {
      method: 'POST',
      path: '/v1/results/:order/:attempt/publish',
      summary:
        'Make the staged result of the attempt that ended the order visible, and drop those of all others',
      description:
        'Calling it again answers the same. 404: nothing is staged; 409: the id belongs to something else.',
      access: ['orchestrator'],
      params: attempt,
      status: 200,
      response: json(resource),
      errors: ['invalid_request', 'not_found', 'conflict'],
    },
    discardResults: {
      method: 'DELETE',
      path: '/v1/results/:order',
      summary: 'Drop whatever attempts of an order have staged and nobody published',
      access: ['orchestrator'],
      params: z.object({ order: uuid }),
      status: 204,
      response: nothing,
      errors: ['invalid_request'],
    },
    ...uploadEndpoints,
    uploadModel: {
      method: 'POST',
      path: '/model',
      summary: 'Upload a model (raw body with Content-Length)',
      access: ['worker', 'uploader'],
      query: z.object({ algo: rawUuid.optional(), uuid: rawUuid.optional() }),
      body: bytes(),
      status: 201,
      response: json(uploaded),
      errors: [
        'invalid_upload',
        'not_found',
        'conflict',
        'digest_mismatch',
        'too_large',
        'disk_full',
        'quota_exceeded',
      ],
      classic: true,
    },
    upload: {
      method: 'POST',
      path: '/:type',
      summary: 'Upload a problem, algo, data set or prediction',
      description:
        'multipart/*: the parts uuid, name, description, size and sha256 as the type takes them, then blob, last. ' +
        'Anything else is the seed-era dialect: the body is the blob.',
      access: ['uploader', 'worker'],
      params: seedTypes,
      query: z.object({ uuid: rawUuid.optional() }),
      body: bytes('multipart/form-data'),
      status: 201,
      response: json(uploaded),
      errors: ['invalid_upload', 'conflict', 'digest_mismatch', 'too_large', 'disk_full', 'quota_exceeded'],
      classic: true,
    },
    patchProblem: {
      method: 'PATCH',
      path: '/problem/:uuid',
      summary: 'Change a problem: parts as for its upload, all optional; a new uuid renames it',
      access: ['uploader'],
      params: z.object({ uuid: rawUuid }),
      body: bytes('multipart/form-data'),
      status: 200,
      response: json(resource),
      errors: [
        'invalid_upload',
        'not_found',
        'conflict',
        'digest_mismatch',
        'too_large',
        'disk_full',
        'quota_exceeded',
      ],
      classic: true,
    },
    getDataBlob: {
      method: 'GET',
      path: '/data/:uuid/blob',
      summary: 'The bytes of a data set: for workers alone, since its author shows them to nobody',
      description: REDIRECT,
      access: ['worker'],
      params: z.object({ uuid: rawUuid }),
      headers: conditions,
      status: 200,
      response: bytes(),
      errors: ['invalid_request', 'not_found', 'precondition_failed', 'range_not_satisfiable', 'damaged'],
      classic: true,
    },
    headDataBlob: {
      method: 'HEAD',
      path: '/data/:uuid/blob',
      summary: 'The headers that a GET would answer',
      access: ['worker'],
      params: z.object({ uuid: rawUuid }),
      headers: conditions,
      status: 200,
      response: bytes(),
      errors: ['invalid_request', 'not_found', 'precondition_failed', 'range_not_satisfiable', 'damaged'],
      classic: true,
    },
    getBlob: {
      method: 'GET',
      path: '/:type/:uuid/blob',
      summary: 'The bytes, with `ETag`, `Repr-Digest`, ranges and conditions',
      description: REDIRECT,
      access: ANYONE_KNOWN,
      ...item,
      headers: conditions,
      status: 200,
      response: bytes(),
      errors: ['invalid_request', 'not_found', 'precondition_failed', 'range_not_satisfiable', 'damaged'],
      classic: true,
    },
    headBlob: {
      method: 'HEAD',
      path: '/:type/:uuid/blob',
      summary: 'The headers that a GET would answer',
      access: ANYONE_KNOWN,
      ...item,
      headers: conditions,
      status: 200,
      response: bytes(),
      errors: ['invalid_request', 'not_found', 'precondition_failed', 'range_not_satisfiable', 'damaged'],
      classic: true,
    },
    list: {
      method: 'GET',
      path: '/:type',
      summary: 'What there is of a type, newest first',
      description:
        'Without parameters the newest 30, as the original; `limit` with `cursor`, or `page`, for more.',
      access: ANYONE_KNOWN,
      params: z.object({ type }),
      query: z.object({
        ...pageQuery,
        page: z.coerce.number().int().min(0).max(1_000_000).optional(),
        algo: uuid.optional(),
      }),
      status: 200,
      response: json(list),
      errors: ['invalid_request'],
      classic: true,
    },
    get: {
      method: 'GET',
      path: '/:type/:uuid',
      summary: 'One of them',
      access: ANYONE_KNOWN,
      ...item,
      status: 200,
      response: json(resource),
      errors: ['invalid_request', 'not_found'],
      classic: true,
    },
    remove: {
      method: 'DELETE',
      path: '/:type/:uuid',
      summary: 'Delete one; refused with 409 while something refers to it',
      access: ['uploader'],
      ...item,
      status: 204,
      response: nothing,
      errors: ['invalid_request', 'not_found', 'in_use'],
    },
  },
});

/** See {@link storageContract}. */
export type StorageContract = typeof storageContract;
