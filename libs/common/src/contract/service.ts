import * as z from 'zod';
import { defineContract, json } from './contract.ts';

const dependency = z.object({
  name: z.string(),
  ok: z.boolean(),
  /** Where the part does not answer: what is wrong, in one line. */
  problem: z.string().optional(),
  /** Where it answers, and somebody should change something about it all the same: what, in one line. */
  warning: z.string().optional(),
});

/** What `/ready` answers: each part that the service needs, by name. */
export const readiness = z.object({
  status: z.enum(['ok', 'unavailable']),
  dependencies: z.array(dependency),
});

/** See {@link readiness}. */
export type Readiness = z.infer<typeof readiness>;

/** The OpenAPI document of a service (`/openapi.json`), as far as it tells which service that is. */
export const apiIdentity = z.object({ info: z.object({ title: z.string(), version: z.string() }) });

/** The routes that every service has beside its own. */
export const serviceContract = defineContract({
  title: 'Morpheo service',
  description: 'What every service answers.',
  errorKey: 'error',
  realm: 'Authorization Required',
  endpoints: {
    health: {
      method: 'GET',
      path: '/health',
      summary: 'The process lives',
      access: 'public',
      status: 200,
      response: json(z.object({ status: z.literal('ok') })),
      errors: [],
      classic: true,
    },
    ready: {
      method: 'GET',
      path: '/ready',
      summary:
        'The parts that the service needs answer, each named; 503 with the same body where one does not',
      access: 'public',
      status: 200,
      response: json(readiness),
      errors: ['unavailable'],
    },
  },
});

/** The version of the platform, which all packages have together. */
export const VERSION = '0.1.0';

/** How many items a page holds at most, and how many where the caller does not say. */
export const PAGE = { most: 200, usual: 30 } as const;

/** So many things a list counts at most. */
export const MOST_COUNTED = 10_000;

/** How many things fit the filters of a list: `more` where there are more than `total`, which are not counted. */
export const counted = { total: z.int(), more: z.literal(true).optional() };

/** The query of a list: `cursor` is the `next` of the page before; items come newest first. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(PAGE.most).optional(),
  cursor: z.string().max(200).optional(),
};

/** A page of a list; see {@link counted}. `next` is absent on the last page. */
export function pageOf<S extends z.ZodType>(item: S) {
  return z.object({ items: z.array(item), ...counted, next: z.string().optional() });
}

/** A time as /v1 shows it: RFC 3339 in UTC with milliseconds. */
export const timestamp = z.iso.datetime();
