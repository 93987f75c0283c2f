import {
  type Api,
  bytes,
  defineContract,
  events,
  goInt,
  goJson,
  goStruct,
  goUuid,
  json,
  nothing,
} from '@morpheo/common';
import { z } from 'zod';
import { memoryLog } from '../../log/index.ts';
import { createHttpApp, type HttpServer, type ListenOptions, listen, type ServeOptions } from '../index.ts';

const one = z.object({ id: z.string().max(20) });

/** A contract with a route of each kind. */
export const smallContract = defineContract({
  title: 'Small API',
  description: 'One route of each kind.',
  errorKey: 'error',
  realm: 'Authorization Required',
  emptyUnauthorized: true,
  endpoints: {
    index: {
      method: 'GET',
      path: '/',
      summary: 'The routes',
      access: 'public',
      status: 200,
      response: json(z.array(z.string())),
      errors: [],
      classic: true,
    },
    order: {
      method: 'POST',
      path: '/order',
      summary: 'Order something, as the originals read it',
      access: 'intake',
      body: goJson(goStruct({ uuid: goUuid, rank: goInt })),
      status: 202,
      response: json(z.object({ uuid: z.string(), rank: z.int() })),
      errors: ['invalid_json', 'conflict'],
      classic: true,
    },
    change: {
      method: 'PUT',
      path: '/v1/things/:id',
      summary: 'Change a thing',
      access: ['worker'],
      params: one,
      query: z.object({ limit: z.coerce.number().int().min(1).max(9).optional() }),
      headers: z.object({ 'if-match': z.string().max(5).optional() }),
      body: json(z.object({ name: z.string(), size: z.int() })),
      status: 200,
      response: json(
        z.object({
          id: z.string(),
          name: z.string(),
          limit: z.int().optional(),
          match: z.string().optional(),
        }),
      ),
      errors: ['invalid_request', 'conflict'],
    },
    drop: {
      method: 'DELETE',
      path: '/v1/things/:id',
      summary: 'Drop a thing',
      access: ['uploader', 'worker'],
      params: one,
      status: 204,
      response: nothing,
      errors: ['not_found'],
    },
    watch: {
      method: 'GET',
      path: '/v1/things/:id/events',
      summary: 'What happens to a thing',
      access: ['reader'],
      params: one,
      headers: z.object({ 'last-event-id': z.string().optional() }),
      status: 200,
      response: events(z.object({ n: z.int() })),
      errors: ['not_found'],
    },
    follow: {
      method: 'GET',
      path: '/v1/things/:id/log',
      summary: 'The log of a thing',
      access: 'public',
      params: one,
      status: 200,
      response: bytes('text/plain'),
      errors: [],
    },
    upload: {
      method: 'POST',
      path: '/:type',
      summary: 'Upload bytes',
      access: ['uploader'],
      params: z.object({ type: z.enum(['algo', 'data']) }),
      body: bytes(),
      status: 201,
      response: json(z.object({ size: z.int(), type: z.string().optional(), length: z.int().optional() })),
      errors: ['invalid_upload'],
      classic: true,
    },
    blob: {
      method: 'GET',
      path: '/:type/:id',
      summary: 'Bytes',
      access: ['reader'],
      params: z.object({ type: z.enum(['algo', 'data']), id: z.string() }),
      status: 200,
      response: bytes(),
      errors: ['not_found'],
      classic: true,
    },
    headBlob: {
      method: 'HEAD',
      path: '/:type/:id',
      summary: 'The headers of bytes',
      access: ['reader'],
      params: z.object({ type: z.enum(['algo', 'data']), id: z.string() }),
      status: 200,
      response: bytes(),
      errors: ['not_found'],
      classic: true,
    },
  },
});

/** See {@link smallContract}. */
export type SmallApi = Api<typeof smallContract>;

/** Answers each route with what it was given; a test puts its own functions in place of some. */
export const smallApi: SmallApi = {
  index: async () => ['/'],
  order: async ({ body }) => body,
  change: async ({ params, query, headers, body }) => ({
    id: params.id,
    name: body.name,
    limit: query.limit,
    match: headers['if-match'],
  }),
  drop: async () => undefined,
  watch: async ({ headers }) => count(Number(headers['last-event-id'] ?? 0)),
  follow: async () => ({ status: 200, headers: { 'content-type': 'text/plain' } }),
  upload: async ({ body }) => {
    let size = 0;
    for await (const chunk of body.body) size += chunk.length;
    return { size, type: body.contentType, length: body.contentLength };
  },
  blob: async ({ params }) => ({
    status: 200,
    headers: { 'content-type': 'text/plain', 'content-length': String(params.id.length) },
    body: new Blob([params.id]).stream(),
  }),
  headBlob: async ({ params }) => ({ status: 200, headers: { 'content-length': String(params.id.length) } }),
};

/** The events with the ids after `last`, to 3. */
async function* count(last: number) {
  for (let n = last + 1; n <= 3; n++) yield { id: String(n), event: 'counted', data: { n } };
}

/** A service that runs, and what it logs. */
export interface SmallService extends HttpServer {
  readonly log: ReturnType<typeof memoryLog>;
}

/** What a test may set otherwise than the small service has it. */
export type SmallOptions = Partial<Omit<ServeOptions<typeof smallContract>, 'api' | 'log'>> &
  Partial<Omit<ListenOptions, 'log'>> & { readonly api?: Partial<SmallApi> };

/** Runs the small API on a free port of 127.0.0.1. Without `authenticate`, nobody is asked for credentials. */
export async function openSmallService(options: SmallOptions = {}): Promise<SmallService> {
  const log = memoryLog();
  const app = createHttpApp({
    contract: smallContract,
    info: { name: 'small', version: '1.2.3' },
    checks: {},
    authenticate: null,
    anonymousIntake: true,
    validateResponses: true,
    ...options,
    api: { ...smallApi, ...options.api },
    log,
  });
  const server = await listen(app, { host: '127.0.0.1', port: 0, ...options, log });
  return { ...server, log };
}
