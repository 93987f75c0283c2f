import * as z from 'zod';
import type { ErrorCode } from '../errors.ts';
import { bytes, headersOnly, type Role } from './contract.ts';

/** The version of the tus protocol that is spoken. */
export const TUS_VERSION = '1.0.0';

/** The media type of a chunk (tus 1.0, "PATCH"). */
export const TUS_CHUNK_TYPE = 'application/offset+octet-stream';

const access: readonly Role[] = ['uploader'];
const always = { 'tus-resumable': TUS_VERSION, 'tus-version': TUS_VERSION } as const;
/** Judged by the handler, which answers a missing or other version as the protocol says. */
const version = { 'tus-resumable': z.string().max(100).optional() };
const params = z.object({ upload: z.string().max(200) });
/** A count of bytes as the protocol writes it. */
const count = z
  .string()
  .regex(/^\d{1,15}$/, 'should be a number of bytes')
  .transform(Number);

const TOLD = {
  'upload-offset': 'How many bytes are on disk: the next chunk begins here.',
  'upload-expires': 'When the upload is thrown away if nothing more comes (RFC 9110 date).',
  'upload-resource': 'Where the thing is, once all bytes have come: `/<type>/<uuid>`.',
} as const;

const OF_ONE: readonly ErrorCode[] = ['forbidden', 'not_found', 'precondition_failed'];
const AT_THE_END: readonly ErrorCode[] = [
  'invalid_upload',
  'conflict',
  'digest_mismatch',
  'disk_full',
  'quota_exceeded',
];

/** Resumable uploads by the tus protocol 1.0 (https://tus.io/protocols/resumable-upload), with the extensions creation, expiration, checksum and termination. */
export const uploadEndpoints = {
  uploadOptions: {
    method: 'OPTIONS',
    path: '/v1/uploads',
    summary: 'What is offered of the tus protocol (1.0): extensions, checksums, the largest upload',
    access,
    status: 204,
    response: headersOnly({
      'tus-extension': 'By comma.',
      'tus-max-size': 'In bytes.',
      'tus-checksum-algorithm': 'By comma.',
    }),
    always,
    errors: [],
  },
  createUpload: {
    method: 'POST',
    path: '/v1/uploads',
    summary: 'Begin a resumable upload (tus 1.0, extension creation)',
    description:
      '`Upload-Metadata` says what it will be, each value in Base64: `type` (problem, algo, model, data or ' +
      'prediction), `uuid`, `name`, `description`, `algo`, `visibility`, `purpose` and `problems` as the type takes ' +
      'them, and `sha256` of all bytes. ' +
      'The rules are those of the upload in one piece; nobody sees the thing before its last byte has come.',
    access,
    headers: z.object({
      ...version,
      'upload-length': count.optional(),
      'upload-metadata': z.string().max(8000).optional(),
    }),
    status: 201,
    response: headersOnly({ location: 'The address of the upload, relative to this one.', ...TOLD }),
    always,
    errors: [
      'invalid_request',
      'invalid_upload',
      'not_found',
      'conflict',
      'precondition_failed',
      'too_large',
      'quota_exceeded',
    ],
  },
  headUpload: {
    method: 'HEAD',
    path: '/v1/uploads/:upload',
    summary: 'How far a resumable upload is; one whose bytes are all there is finished, if it was not',
    access,
    params,
    headers: z.object(version),
    status: 200,
    response: headersOnly({ ...TOLD, 'upload-length': 'In bytes.', 'upload-metadata': 'As it was created.' }),
    always,
    errors: ['invalid_request', 'locked', ...OF_ONE, ...AT_THE_END],
  },
  patchUpload: {
    method: 'PATCH',
    path: '/v1/uploads/:upload',
    summary: 'Send the next chunk; with the last one the thing appears',
    description:
      `The type of the body is \`${TUS_CHUNK_TYPE}\`. What is acknowledged is on disk. A chunk with ` +
      '`Upload-Checksum` counts whole or not at all (460); of one without, what came before a cut counts. 423: ' +
      'somebody else is sending.',
    access,
    params,
    headers: z.object({
      ...version,
      'upload-offset': count,
      'upload-checksum': z.string().max(200).optional(),
    }),
    body: bytes(TUS_CHUNK_TYPE),
    status: 204,
    response: headersOnly(TOLD),
    always,
    errors: [
      'invalid_request',
      'wrong_state',
      'locked',
      'too_large',
      'unsupported_media_type',
      'checksum_mismatch',
      'timed_out',
      ...OF_ONE,
      ...AT_THE_END,
    ],
  },
  deleteUpload: {
    method: 'DELETE',
    path: '/v1/uploads/:upload',
    summary: 'Give a resumable upload up (tus 1.0, extension termination); what it has made already stays',
    access,
    params,
    headers: z.object(version),
    status: 204,
    response: headersOnly({}),
    always,
    errors: ['invalid_request', 'locked', ...OF_ONE],
  },
} as const;
