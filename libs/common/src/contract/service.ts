import { z } from 'zod';
import { defineContract, json } from './contract.ts';

const dependency = z.object({
  name: z.string(),
  ok: z.boolean(),
  /** Where the part does not answer: what is wrong, in one line. */
  problem: z.string().optional(),
});

/** What `/ready` answers: each part that the service needs, by name. */
export const readiness = z.object({
  status: z.enum(['ok', 'unavailable']),
  dependencies: z.array(dependency),
});

/** See {@link readiness}. */
export type Readiness = z.infer<typeof readiness>;

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
