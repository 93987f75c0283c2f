import * as z from 'zod';
import { rawUuid } from '../uuid.ts';
import { ANYONE_KNOWN, bytes, type Role } from './contract.ts';
import { RESOURCE_TYPES } from './resources.ts';

/** An attempt reads what its order has pinned, as it was then. */
export const ANYONE_OR_ATTEMPT: readonly Role[] = [...ANYONE_KNOWN, 'attempt'];

const REDIRECT =
  'To `Prefer: redirect` the answer may be 307 with the address, good for a short time, of the store that keeps the bytes.';

const ofData = { path: '/data/:uuid/blob', params: z.object({ uuid: rawUuid }) } as const;
/** The bytes of data sets have a route of their own. */
const ofOthers = {
  path: '/:type/:uuid/blob',
  params: z.object({ type: z.enum(RESOURCE_TYPES).exclude(['data']), uuid: rawUuid }),
} as const;
const download = {
  access: ANYONE_OR_ATTEMPT,
  headers: z.object({
    range: z.string().max(200).optional(),
    'if-range': z.string().max(200).optional(),
    'if-none-match': z.string().max(2000).optional(),
    'if-match': z.string().max(2000).optional(),
    /** `redirect`: 307 to where the bytes are kept is welcome, where the service can do that. */
    prefer: z.string().max(200).optional(),
  }),
  status: 200,
  response: bytes(),
  errors: [
    'invalid_request',
    'not_found',
    'stale_attempt',
    'precondition_failed',
    'range_not_satisfiable',
    'damaged',
  ],
  classic: true,
} as const;
const head = { method: 'HEAD', summary: 'The headers that a GET would answer' } as const;

/** The bytes of what storage keeps. */
export const downloadEndpoints = {
  getDataBlob: {
    method: 'GET',
    summary:
      'The bytes of a data set: they are hidden from all but its owner, admins, and attempts of orders',
    description: REDIRECT,
    ...ofData,
    ...download,
  },
  headDataBlob: { ...head, ...ofData, ...download },
  getBlob: {
    method: 'GET',
    summary: 'The bytes, with `ETag`, `Repr-Digest`, ranges and conditions',
    description: REDIRECT,
    ...ofOthers,
    ...download,
  },
  headBlob: { ...head, ...ofOthers, ...download },
} as const;
