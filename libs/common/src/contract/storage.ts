import * as z from 'zod';
import { sha256Hex } from '../digest.ts';
import { MOST_PROBLEMS } from '../permissions.ts';
import { rawUuid, uuid } from '../uuid.ts';
import { ANYONE_KNOWN, bytes, defineContract, json, nothing } from './contract.ts';
import { ANYONE_OR_ATTEMPT, downloadEndpoints, outputEndpoints } from './downloads.ts';
import { peopleEndpoints } from './people.ts';
import { permissionEndpoints } from './permissions.ts';
import { pinEndpoints } from './pins.ts';
import { RESOURCE_TYPES, RESULT_TYPES, resource, usage } from './resources.ts';
import { counted, pageQuery } from './service.ts';
import { uploadEndpoints } from './uploads.ts';

const type = z.enum(RESOURCE_TYPES);
/** Parsed by the handler as the part of a form that has its name. */
const said = z.string().max(200);

const item = { params: z.object({ type, uuid: rawUuid }) };
const list = z.object({
  items: z.array(resource),
  length: z.int(),
  page: z.int(),
  ...counted,
  next: z.string().optional(),
});

const uploaded = z.union([resource, z.object({ status: z.string(), uuid: z.string() })]);
const seedTypes = z.object({ type: z.enum(['problem', 'algo', 'data', 'prediction']) });
const attempt = z.object({ order: uuid, attempt: z.coerce.number().int().min(1) });

/** storage-api: the routes of the original in both of its dialects, and ours. */
export const storageContract = defineContract({
  title: 'Morpheo storage API',
  description:
    'Keeps problems, algorithms, models, data, predictions and outputs of jobs: what they are, and their bytes.',
  errorKey: 'error',
  realm: 'Authorization Required',
  emptyUnauthorized: true,
  order: 'order',
  // tus 1.0, "X-HTTP-Method-Override": for clients behind what lets no PATCH through.
  methodOverride: '/v1/uploads',
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
        'overtaken here is 409. `uuid` is the id that the result ' +
        'will have. Whose bytes they are, and of which `algo` a model is, the ticket says; of an admin, who has ' +
        'none, `owner` (the caller where absent) and `algo`. `Content-Digest`, where given, is checked. ' +
        'The output of a job is a tar archive, not compressed, of files and folders: any other is refused.',
      access: ['attempt'],
      params: attempt,
      query: z.object({
        type: z.enum(RESULT_TYPES),
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
        'invalid_upload',
        'digest_mismatch',
        'not_found',
        'stale_attempt',
        'too_large',
        'disk_full',
        'quota_exceeded',
      ],
    },
    putCheckpoint: {
      method: 'PUT',
      path: '/v1/checkpoints/:order/:attempt',
      summary: 'Keep what the next attempt of an order goes on from, in place of what was kept before',
      description:
        'For an attempt, by its ticket. 409 (`stale_attempt`) where a later one has asked for it, or brought one, and where ' +
        'the order has ended, which drops it. 429 where the last one was just kept. `Content-Digest`, where given, is checked.',
      access: ['attempt'],
      params: attempt,
      body: bytes(),
      status: 200,
      response: json(z.object({ size: z.int(), sha256: sha256Hex })),
      errors: [
        'invalid_request',
        'digest_mismatch',
        'stale_attempt',
        'too_large',
        'rate_limited',
        'disk_full',
        'quota_exceeded',
      ],
    },
    getCheckpoint: {
      method: 'GET',
      path: '/v1/checkpoints/:order/:attempt',
      summary: 'What the order has kept for this attempt; those before it keep nothing any more',
      access: ['attempt'],
      params: attempt,
      status: 200,
      response: bytes(),
      errors: ['invalid_request', 'not_found', 'stale_attempt', 'damaged'],
    },
    publishResult: {
      method: 'POST',
      path: '/v1/results/:order/:attempt/publish',
      summary:
        'Make the staged result of the attempt that ended the order visible, drop those of all others, and release what is pinned',
      description:
        'Calling it again answers the same. 404: nothing is staged; 409: the id belongs to something else (`conflict`), or ' +
        'the result holds a canary of its problem and is withheld (`wrong_state`).',
      access: ['compute'],
      params: attempt,
      query: z.object({
        /** How the run ended that made it; `done` where absent. The output of a `failed` one says so. */
        outcome: z.enum(['done', 'failed']).optional(),
      }),
      status: 200,
      response: json(resource),
      errors: ['invalid_request', 'not_found', 'conflict', 'wrong_state'],
    },
    discardResults: {
      method: 'DELETE',
      path: '/v1/results/:order',
      summary:
        'Drop whatever attempts of an order have staged and nobody published, and release what is pinned for it',
      access: ['compute'],
      params: z.object({ order: uuid }),
      query: z.object({
        /** The round that has ended; what is pinned for it, or for one before, is released. Any where absent. */
        round: z.coerce.number().int().min(1).optional(),
      }),
      status: 204,
      response: nothing,
      errors: ['invalid_request'],
    },
    removeResult: {
      method: 'DELETE',
      path: '/v1/published-results/:order',
      summary: 'Remove what an order has made, which was published',
      description:
        'What somebody else stored under its id since stays, and so does what a later attempt than `attempt` has made. ' +
        '404: nothing is left of it; 409: an order that has not ended names it.',
      access: ['compute'],
      params: z.object({ order: uuid }),
      query: z.object({
        /** The latest attempt whose result goes, so that a late call takes nothing that came after it. Any where absent. */
        attempt: z.coerce.number().int().min(1).optional(),
      }),
      status: 204,
      response: nothing,
      errors: ['invalid_request', 'not_found', 'in_use'],
    },
    ...pinEndpoints,
    ...outputEndpoints,
    ...peopleEndpoints,
    ...permissionEndpoints,
    ...uploadEndpoints,
    uploadModel: {
      method: 'POST',
      path: '/model',
      summary: 'Upload a model (raw body with Content-Length)',
      access: ['uploader'],
      query: z.object({ algo: rawUuid.optional(), uuid: rawUuid.optional(), visibility: said.optional() }),
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
        'multipart/*: the parts uuid, name, description, size and sha256 as the type takes them, visibility (private or ' +
        'open), and of data purpose (train, test, predict or open) and problems (ids, by comma), then blob, last. ' +
        'A body without a type, or of a type of bytes such as application/octet-stream, is of the seed-era dialect: ' +
        'it is the blob. Of a data set it may be of any type but JSON.',
      access: ['uploader'],
      params: seedTypes,
      query: z.object({
        uuid: rawUuid.optional(),
        visibility: said.optional(),
        purpose: said.optional(),
        problems: z
          .string()
          .max(MOST_PROBLEMS * 40)
          .optional(),
      }),
      body: bytes('multipart/form-data'),
      status: 201,
      response: json(uploaded),
      errors: ['invalid_upload', 'conflict', 'digest_mismatch', 'too_large', 'disk_full', 'quota_exceeded'],
      classic: true,
    },
    patchProblem: {
      method: 'PATCH',
      path: '/problem/:uuid',
      summary: 'Change a problem of yours: parts as for its upload, all optional; a new uuid renames it',
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
    ...downloadEndpoints,
    list: {
      method: 'GET',
      path: '/:type',
      summary: 'What the caller may see of a type, newest first',
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
      access: ANYONE_OR_ATTEMPT,
      ...item,
      status: 200,
      response: json(resource),
      errors: ['invalid_request', 'not_found', 'stale_attempt'],
      classic: true,
    },
    remove: {
      method: 'DELETE',
      path: '/:type/:uuid',
      summary: 'Delete one of yours; refused with 409 while something refers to it',
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
