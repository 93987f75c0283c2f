import * as z from 'zod';
import { bytes, defineContract, type Endpoint, json, jsonText, nothing } from '../contract/contract.ts';

/**
 * Shepherd's API, in the two dialects that its releases speak. Members that are null are there, as null; times are in UTC,
 * with microseconds and without a zone; an error has a `message`, and nothing else.
 */

/** A text, for which the original takes a number as well. */
const text = z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]);

/** What a job asks for: its id, which is the name of its bucket too, what runs it, and its input. */
export const startJob = z.strictObject({
  job_id: text,
  /** Absent, or null: any sheep. */
  sheep_id: text.nullish(),
  /** What is run: an image of the registry by its name and tag. */
  model: z.strictObject({ name: text.nullish(), version: text.nullish() }),
  /** Becomes the file `input`; where there is none, the bucket has inputs already. */
  payload: text.nullish(),
});

/** See {@link startJob}. */
export type StartJob = z.output<typeof startJob>;

const model = z.object({ name: z.string().nullable(), version: z.string().nullable() });

/** Such as `2019-01-01T12:00:00.000005`. */
const time = z.string().nullable();

/** How a job stands; in dialect 0.5 its bucket has the same as `job_status.json`. */
export const jobStatus = z.object({
  status: z.enum(['accepted', 'queued', 'processing', 'failed', 'done']),
  error_details: z
    .object({
      message: z.string(),
      exception_type: z.string().nullable(),
      exception_traceback: z.string().nullable(),
    })
    .nullable(),
  model,
  enqueued_at: time,
  processing_started_at: time,
  finished_at: time,
});

/** See {@link jobStatus}. */
export type JobStatus = z.infer<typeof jobStatus>;

const sheep = z.object({ running: z.boolean(), model, request: z.string().nullable() });

/** A sheep, as `/status` shows it. */
export type SheepStatus = z.infer<typeof sheep>;

const job = z.object({ job_id: z.string().max(1000) });
const fileOfJob = job.extend({ file: z.string().max(1000) });
const started = z.object({ success: z.literal(true) });
const notReady = z.object({ ready: z.literal(false) });
const failed = z.object({ message: z.string() });
const sheepById = z.record(z.string(), sheep);

const open = { access: 'public', status: 200, classic: true } as const satisfies Partial<Endpoint>;

const startJobEndpoint = {
  method: 'POST',
  path: '/start-job',
  summary: 'Start a job',
  description:
    'Its bucket is made where there is a payload; without one, it is there and has files below `inputs/`.',
  ...open,
  body: jsonText(startJob),
  response: json(started),
  errors: ['invalid_request', 'conflict', 'too_large', 'unavailable'],
} as const satisfies Endpoint;

const resultOf = {
  method: 'GET',
  summary: 'A file of the result: `output` where none is named',
  ...open,
  response: bytes(),
  also: { 202: notReady, 500: failed },
  errors: ['invalid_request', 'not_found', 'unavailable'],
} as const;

const results = {
  jobResult: { ...resultOf, path: '/jobs/:job_id/result', params: job },
  jobResultFile: { ...resultOf, path: '/jobs/:job_id/result/:file', params: fileOfJob },
} as const satisfies Record<string, Endpoint>;

const inputOf = {
  method: 'GET',
  summary: 'A file of the inputs: `input` where none is named',
  ...open,
  response: bytes(),
  errors: ['invalid_request', 'not_found', 'unavailable'],
} as const;

const ofJob = { method: 'GET', params: job, ...open, errors: ['invalid_request', 'unavailable'] } as const;

/** How compute-api tells of the end of a job: none of the original's. Its token is no part of the path, which logs show. */
const jobEnded = {
  method: 'POST',
  path: '/v1/ended/:job_id',
  summary: 'The order of a job has ended: what it left is put into its bucket',
  params: job,
  query: z.object({ token: z.string().max(200) }),
  access: 'public',
  status: 204,
  response: nothing,
  errors: ['forbidden', 'unavailable'],
} as const satisfies Endpoint;

const about = {
  title: 'Shepherd API',
  description: 'Jobs on files in buckets, answered by images that stay warm.',
  errorKey: 'message',
  realm: 'Shepherd',
  documents: { openapi: '/spec.json', pages: ['/ui', '/apidocs'] },
} as const;

/** Dialect 0.5, of the releases 0.5.0 to 0.5.3. */
export const shepherdContract = defineContract({
  ...about,
  endpoints: {
    startJob: startJobEndpoint,
    jobStatus: {
      ...ofJob,
      path: '/jobs/:job_id/status',
      summary: 'How a job stands',
      response: json(jobStatus),
    },
    waitReady: {
      ...ofJob,
      path: '/jobs/:job_id/wait_ready',
      summary: 'How a job stands when it has ended; 504 where that takes too long',
      response: jsonText(jobStatus),
      also: { 504: jobStatus },
    },
    ...results,
    jobInput: { ...inputOf, path: '/jobs/:job_id/input', params: job },
    jobInputFile: { ...inputOf, path: '/jobs/:job_id/input/:file', params: fileOfJob },
    getStatus: {
      method: 'GET',
      path: '/status',
      summary: 'The sheep, by their names; twice, since releases differ',
      ...open,
      response: json(z.object({ sheep: sheepById, containers: sheepById })),
      errors: ['unavailable'],
    },
    jobEnded,
  },
});

/** See {@link shepherdContract}. */
export type ShepherdContract = typeof shepherdContract;

/** Dialect 0.4, of the releases 0.4.0 and 0.4.1. */
export const shepherdContract04 = defineContract({
  ...about,
  endpoints: {
    startJob: startJobEndpoint,
    isReady: {
      ...ofJob,
      path: '/jobs/:job_id/ready',
      summary: 'Whether a job has ended; one that failed has',
      response: json(z.object({ ready: z.boolean(), finished_at: time })),
    },
    waitReady: {
      ...ofJob,
      path: '/jobs/:job_id/wait_ready',
      summary: 'Answers when a job has ended; 504 where that takes too long',
      response: jsonText(z.object({ ready: z.boolean() })),
      also: { 504: notReady },
    },
    ...results,
    getStatus: {
      method: 'GET',
      path: '/status',
      summary: 'The sheep, by their names',
      ...open,
      response: json(z.object({ containers: sheepById })),
      errors: ['unavailable'],
    },
    jobEnded,
  },
});

/** See {@link shepherdContract04}. */
export type ShepherdContract04 = typeof shepherdContract04;
