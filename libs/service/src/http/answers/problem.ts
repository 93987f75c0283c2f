import { STATUS_CODES } from 'node:http';
import { type Contract, type Endpoint, PlatformError, serviceContract, toProblem } from '@morpheo/common';
import type { Answer } from './send.ts';

/** The content type of JSON on the routes of the originals, to the letter. */
export const CLASSIC_JSON = 'application/json; charset=UTF-8';

/** The content type of problem bodies (RFC 9457). */
const PROBLEM = 'application/problem+json';

/** The paths of the pages that every service has beside its API. */
export const SYSTEM_PATHS = /^\/(?:health|ready|openapi\.json|metrics|docs(?:\/[^/]*)?)$/;

/** Whether a path is of the kind that the originals had: none of `/v1`, and no page that every service of ours has. */
export function isOfOriginals(path: string): boolean {
  return (
    path === serviceContract.endpoints.health.path ||
    (!/^\/v1(?:\/|$)/.test(path) && !SYSTEM_PATHS.test(path))
  );
}

/**
 * There is no such path, or it is one of the originals' and they answer 404 to this method. `classic` where the
 * originals could be asked for such a path: they have words of their own for it.
 */
export class NoRoute extends PlatformError {
  override name = 'NoRoute';
  readonly classic: boolean;
  constructor(contract: Contract, classic: boolean) {
    super('not_found', contract.errorKey === 'Error' ? 'Page does not exist' : 'Not Found');
    this.classic = classic;
  }
}

/** What an error answer depends on, beside the error. */
export interface ProblemContext {
  readonly contract: Contract;
  /** The route, where one was found. */
  readonly endpoint?: Endpoint | undefined;
  /** The path of the request as it came, which may be none. */
  readonly path: string;
  /** The `Accept` field of the request. */
  readonly accept?: string | undefined;
  readonly requestId: string;
}

/** The answer that tells an error: a problem body (RFC 9457), or what the originals answer on their routes. */
export function problemAnswer(error: PlatformError, context: ProblemContext): Answer {
  const headers = errorHeaders(error, context.contract);
  if (hasPage(context)) return errorPage(error, headers);
  const text = plainText(error, context);
  if (text !== undefined) {
    const type: Record<string, string> = text === '' ? {} : { 'content-type': 'text/plain; charset=utf-8' };
    return { status: error.status, headers: { ...headers, ...type }, body: text };
  }
  if (context.contract.errorKey === 'message') {
    const body = JSON.stringify({ message: error.message });
    return { status: error.status, headers: { ...headers, 'content-type': CLASSIC_JSON }, body };
  }
  const problem = toProblem(error, context.contract.errorKey);
  const body = error.code === 'internal' ? { ...problem, request_id: context.requestId } : problem;
  const type = isClassicJson(error, context) ? CLASSIC_JSON : PROBLEM;
  return { status: error.status, headers: { ...headers, 'content-type': type }, body: JSON.stringify(body) };
}

/** Whether errors are told as Flask tells them: on the routes of the originals, and at paths that could be theirs. */
function hasPage({ contract, endpoint, path }: ProblemContext): boolean {
  return (
    contract.errorPages === true && (endpoint?.classic ?? (endpoint === undefined && isOfOriginals(path)))
  );
}

function errorPage(error: PlatformError, headers: Record<string, string>): Answer {
  const { status } = error;
  if (status === 404) {
    const body = JSON.stringify({ error: 'Not found' });
    return { status, headers: { ...headers, 'content-type': 'application/json' }, body };
  }
  const title = STATUS_CODES[status] ?? 'Error';
  const body = `<!doctype html>\n<html lang=en>\n<title>${status} ${title}</title>\n<h1>${title}</h1>\n<p>${asHtml(error.message)}</p>\n`;
  return { status, headers: { ...headers, 'content-type': 'text/html; charset=utf-8' }, body };
}

function asHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** The answer to what was refused before any contract is known: always a problem body. */
export function bareProblem(error: PlatformError): Answer {
  return {
    status: error.status,
    headers: { 'content-type': PROBLEM, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' },
    body: JSON.stringify(toProblem(error)),
  };
}

function isClassicJson(error: PlatformError, { contract, endpoint }: ProblemContext): boolean {
  const noPage = error instanceof NoRoute && error.classic && contract.errorKey === 'Error';
  return noPage || endpoint?.classic === true;
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
  const noPage = error instanceof NoRoute && error.classic && contract.errorKey === 'error';
  if (noPage && !wantsJson) return 'Not Found';
  return undefined;
}
