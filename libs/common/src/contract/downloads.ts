import * as z from 'zod';
import { sha256Hex } from '../digest.ts';
import { rawUuid } from '../uuid.ts';
import { ANYONE_KNOWN, bytes, json, type Role } from './contract.ts';
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
/** What all routes have in common that send bytes by the conditions of the request. */
const downloadOfBytes = {
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
} as const;
/** What the HEAD of such a route is. */
const headOfBytes = { method: 'HEAD', summary: 'The headers that a GET would answer' } as const;
const download = { ...downloadOfBytes, classic: true } as const;

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
  headDataBlob: { ...headOfBytes, ...ofData, ...download },
  getBlob: {
    method: 'GET',
    summary: 'The bytes, with `ETag`, `Repr-Digest`, ranges and conditions',
    description: REDIRECT,
    ...ofOthers,
    ...download,
  },
  headBlob: { ...headOfBytes, ...ofOthers, ...download },
} as const;

/**
 * What the output of a job may hold: files and folders together, names of a path, bytes of a path in UTF-8, and bytes of
 * the paths of all files together.
 */
export const OUTPUT_LIMITS = { files: 100_000, depth: 64, pathBytes: 2048, allPathBytes: 32 * 1024 ** 2 };

/** How many files of an output are listed in one answer. */
export const OUTPUT_PAGE = { most: 1000, usual: 200 } as const;

const outputPath = z.string().max(OUTPUT_LIMITS.pathBytes);

/** A file of the output of a job: its path, relative and with `/`, its size in bytes, and the SHA-256 of its bytes. */
export const outputFile = z.object({ path: z.string(), size: z.int(), sha256: sha256Hex });

/** See {@link outputFile}. */
export type OutputFile = z.infer<typeof outputFile>;

const params = z.object({ uuid: rawUuid });
const oneFile = {
  path: '/v1/outputs/:uuid/file',
  params,
  query: z.object({ path: outputPath.min(1) }),
  ...downloadOfBytes,
} as const;

/** The files of the outputs of jobs. All of them at once are the bytes of the output, a tar archive (see `getBlob`). */
export const outputEndpoints = {
  listOutputFiles: {
    method: 'GET',
    path: '/v1/outputs/:uuid/files',
    summary: 'The files of the output of a job, by path',
    description:
      '`prefix`: only paths that begin so. `cursor` is the `next` of the page before, which is absent on the last page. ' +
      'Paths are in the order of their UTF-16 code units.',
    access: ANYONE_OR_ATTEMPT,
    params,
    query: z.object({
      prefix: outputPath.optional(),
      limit: z.coerce.number().int().min(1).max(OUTPUT_PAGE.most).optional(),
      cursor: outputPath.optional(),
    }),
    status: 200,
    response: json(z.object({ items: z.array(outputFile), next: z.string().optional() })),
    errors: ['invalid_request', 'not_found', 'stale_attempt'],
  },
  getOutputFile: {
    method: 'GET',
    summary: 'One file of the output of a job, with `ETag`, `Repr-Digest`, ranges and conditions',
    ...oneFile,
  },
  headOutputFile: { ...headOfBytes, ...oneFile },
} as const;
