import { type Contract, type Endpoint, ERRORS, type ErrorCode } from '@morpheo/common';
import { z } from 'zod';
import { isOfOriginals } from '../answers/problem.ts';

/** Errors that any request may meet before a route is chosen for it: a path, a header field, a `Host`, a rate. */
const BEFORE_ROUTES: readonly ErrorCode[] = ['invalid_request', 'forbidden', 'rate_limited'];
const WITH_JSON: readonly ErrorCode[] = ['too_large', 'unsupported_media_type', 'timed_out'];

interface Told {
  readonly description: string;
  readonly content?: Readonly<Record<string, unknown>>;
}

/** The responses of a route that tell errors, by status: each error with its title, and the bodies that it may have. */
export function errorResponses(endpoint: Endpoint, contract: Contract): Record<string, Told> {
  const responses: Record<string, Told> = {};
  for (const code of codesOf(endpoint)) {
    const { status, title } = ERRORS[code];
    const line = `\`${code}\`: ${title}.`;
    const { description, content } = responses[status] ?? {};
    const all = { ...content, ...contentOf(code, endpoint, contract) };
    responses[status] = {
      description: description === undefined ? line : `${description}\n${line}`,
      ...(Object.keys(all).length === 0 ? {} : { content: all }),
    };
  }
  return responses;
}

function codesOf(endpoint: Endpoint): Set<ErrorCode> {
  const { errors, access, body } = endpoint;
  return new Set<ErrorCode>([
    ...errors,
    ...(access === 'public' ? [] : (['unauthenticated'] as const)),
    ...BEFORE_ROUTES,
    ...(choosesRoute(endpoint) ? (['not_found'] as const) : []),
    ...(body?.type === 'json' ? WITH_JSON : []),
    'internal',
  ]);
}

/** Whether a parameter has values of its own: with another, the path is none. */
function choosesRoute({ params }: Endpoint): boolean {
  return Object.values(params?.shape ?? {}).some((schema) => schema instanceof z.ZodEnum);
}

const PROBLEM = { schema: { $ref: '#/components/schemas/Problem' } };
const TEXT = { schema: { type: 'string' } };

/** See `answers/problem.ts`: what the originals answer otherwise is said here as it is there. */
function contentOf(code: ErrorCode, endpoint: Endpoint, contract: Contract): Record<string, unknown> {
  const { method, classic, path } = endpoint;
  if (method === 'HEAD') return {};
  if (contract.errorKey === 'message') return { 'application/json': PROBLEM };
  if (code === 'unauthenticated' && classic === true) {
    if (contract.emptyUnauthorized === true) return {};
    if (contract.errorKey === 'Error') return { 'text/plain': TEXT };
  }
  const unknown = code === 'not_found' && choosesRoute(endpoint) && isOfOriginals(path);
  return {
    ...(classic === true ? { 'application/json': PROBLEM } : {}),
    ...(classic !== true || BEFORE_ROUTES.includes(code) || unknown
      ? { 'application/problem+json': PROBLEM }
      : {}),
    ...(unknown && contract.errorKey === 'error' ? { 'text/plain': TEXT } : {}),
  };
}
