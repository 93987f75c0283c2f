import { type Contract, type Endpoint, PlatformError, toProblem } from '@morpheo/common';
import type { Answer } from './send.ts';

/** The content type of JSON on the routes of the originals, to the letter. */
export const CLASSIC_JSON = 'application/json; charset=UTF-8';

/** There is no such path, or it is one of the originals' and they answer 404 to this method. */
export class NoRoute extends PlatformError {
  override name = 'NoRoute';
  constructor(contract: Contract) {
    super('not_found', contract.errorKey === 'Error' ? 'Page does not exist' : 'Not Found');
  }
}

/** What an error answer depends on, beside the error. */
export interface ProblemContext {
  readonly contract: Contract;
  /** The route, where one was found. */
  readonly endpoint?: Endpoint | undefined;
  /** The `Accept` field of the request. */
  readonly accept?: string | undefined;
  readonly requestId: string;
}

/** The answer that tells an error: a problem body (RFC 9457), or what the originals answer on their routes. */
export function problemAnswer(error: PlatformError, context: ProblemContext): Answer {
  const headers = errorHeaders(error, context.contract);
  const text = plainText(error, context);
  if (text !== undefined) {
    const type: Record<string, string> = text === '' ? {} : { 'content-type': 'text/plain; charset=utf-8' };
    return { status: error.status, headers: { ...headers, ...type }, body: text };
  }
  const problem = toProblem(error, context.contract.errorKey);
  const body = error.code === 'internal' ? { ...problem, request_id: context.requestId } : problem;
  const type = context.endpoint?.classic === true ? CLASSIC_JSON : 'application/problem+json';
  return { status: error.status, headers: { ...headers, 'content-type': type }, body: JSON.stringify(body) };
}

function errorHeaders(error: PlatformError, contract: Contract): Record<string, string> {
  const headers: Record<string, string> = { 'cache-control': 'no-store' };
  if (error.code === 'unauthenticated') headers['www-authenticate'] = `Basic realm="${contract.realm}"`;
  if (error.status === 503 || error.status === 429) headers['retry-after'] = secondsOf(error);
  if (error.code === 'disk_full') headers['retry-after'] = '60';
  // RFC 9110 §15.5.17: how much there is, for a client that asked for what lies behind it.
  if (error.code === 'range_not_satisfiable' && typeof error.details.size === 'number') {
    headers['content-range'] = `bytes */${error.details.size}`;
  }
  return headers;
}

/** How long a client is to wait: what the error says, else a second. */
function secondsOf({ details }: PlatformError): string {
  const { retry_after: seconds } = details;
  return typeof seconds === 'number' && Number.isInteger(seconds) && seconds > 0 ? String(seconds) : '1';
}

/** The originals' answers that are not JSON, or undefined. */
function plainText(error: PlatformError, { contract, endpoint, accept }: ProblemContext): string | undefined {
  if (error.code === 'unauthenticated' && endpoint?.classic === true) {
    if (contract.emptyUnauthorized === true) return '';
    if (contract.errorKey === 'Error') return 'Unauthorized Access';
  }
  const wantsJson = /json/i.test(accept ?? '');
  if (error instanceof NoRoute && contract.errorKey === 'error' && !wantsJson) return 'Not Found';
  return undefined;
}
