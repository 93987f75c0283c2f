import * as z from 'zod';
import { MOST_OWNER_CHARACTERS } from '../bounds.ts';
import { ANYONE_KNOWN, events, json } from '../contract/contract.ts';
import { pageOf, pageQuery } from '../contract/service.ts';
import { uuid } from '../uuid.ts';
import { MOST_IN_SEARCH, search, searchEvent, searchSummary, searchView, trialView } from './search.ts';

const ONE = { params: z.object({ uuid }), errors: ['invalid_request', 'not_found'] } as const;
const NOT_THERE = 'To whom may not see the orders of its owner, it is not there.';

/** compute-api: searches. Their orders are listed by `group` of `/v1/orders`. */
export const searches = {
  postSearch: {
    method: 'POST',
    path: '/v1/searches',
    summary:
      'Search parameters of a job or a training; 202 means that the search, and its first orders, are on disk',
    description:
      'The same search again is 202 and the same search; the same uuid with another body is 409. At most ' +
      `${MOST_IN_SEARCH.running} searches of an owner run at once.`,
    access: ['orchestrator'],
    body: json(search, MOST_IN_SEARCH.bytes),
    status: 202,
    response: json(searchView),
    errors: [
      'invalid_request',
      'invalid_json',
      'invalid_order',
      'forbidden',
      'conflict',
      'wrong_state',
      'too_large',
      'rate_limited',
      'unavailable',
    ],
  },
  listSearches: {
    method: 'GET',
    path: '/v1/searches',
    summary: "An owner's searches, newest first",
    description: 'Those of the caller where no `owner` is named; for admins alone those of others.',
    access: ANYONE_KNOWN,
    query: z.object({ ...pageQuery, owner: z.string().min(1).max(MOST_OWNER_CHARACTERS).optional() }),
    status: 200,
    response: json(pageOf(searchSummary)),
    errors: ['invalid_request'],
  },
  getSearch: {
    method: 'GET',
    path: '/v1/searches/:uuid',
    summary: 'A search: the best trial, the rungs, what runs, and its random arm',
    description: NOT_THERE,
    access: ANYONE_KNOWN,
    ...ONE,
    status: 200,
    response: json(searchView),
  },
  getSearchFile: {
    method: 'GET',
    path: '/v1/searches/:uuid/file',
    summary: 'A search as it was posted',
    description: NOT_THERE,
    access: ANYONE_KNOWN,
    ...ONE,
    status: 200,
    response: json(search),
  },
  listTrials: {
    method: 'GET',
    path: '/v1/searches/:uuid/trials',
    summary: 'The trials of a search in the order in which they began, with what came of them at each rung',
    description: NOT_THERE,
    access: ANYONE_KNOWN,
    ...ONE,
    query: z.object(pageQuery),
    status: 200,
    response: json(pageOf(trialView)),
  },
  searchEvents: {
    method: 'GET',
    path: '/v1/searches/:uuid/events',
    summary: 'The results of a search from its beginning or after `Last-Event-ID`, until it has ended',
    description: NOT_THERE,
    access: ANYONE_KNOWN,
    ...ONE,
    headers: z.object({
      'last-event-id': z
        .string()
        .regex(/^\d{1,15}$/, 'should be the id of an event')
        .optional(),
    }),
    status: 200,
    response: events(searchEvent),
  },
  cancelSearch: {
    method: 'POST',
    path: '/v1/searches/:uuid/cancel',
    summary: 'End a search, and its orders that have not ended; what runs is stopped. Again: the same answer',
    description: NOT_THERE,
    access: ['orchestrator'],
    ...ONE,
    status: 200,
    response: json(searchView),
    errors: ['invalid_request', 'not_found', 'wrong_state'],
  },
} as const;
