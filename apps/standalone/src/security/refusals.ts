import { ERRORS, problemBody } from '@morpheo/common';

/** An answer that refuses, and what it was asked. */
export interface Refusal {
  /** The service. */
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Whether the request was for a route that the originals have. */
  readonly classic: boolean;
}

/** Where a refusal is no `application/problem+json`, why, and what it is in its place. */
interface Exception {
  readonly reason: string;
  of(refusal: Refusal): boolean;
  /** The content type; undefined where there is none. */
  readonly type?: string;
  /** The whole body; a problem body where absent. */
  readonly text?: string;
}

/** All exceptions there are; the first that fits holds. */
export const EXCEPTIONS: readonly Exception[] = [
  {
    reason: 'An answer to HEAD has no content (RFC 9110, 9.3.2); its fields are those of the answer to GET.',
    of: ({ method }) => method === 'HEAD',
    text: '',
  },
  {
    reason: 'The original storage answers 401 with an empty body.',
    of: ({ service, status, classic }) => service === 'storage-api' && status === 401 && classic,
    text: '',
  },
  {
    reason: 'The original orchestrator answers 401 in the words of its framework.',
    of: ({ service, status, classic }) => service === 'orchestrator' && status === 401 && classic,
    type: 'text/plain; charset=utf-8',
    text: 'Unauthorized Access',
  },
  {
    reason: 'The originals answer 404 to unknown paths, and to wrong methods on theirs, in plain text.',
    of: ({ service, status, path }) => service !== 'orchestrator' && status === 404 && !isOurs(path),
    type: 'text/plain; charset=utf-8',
    text: 'Not Found',
  },
  {
    reason: 'The original orchestrator answers 404 to unknown paths in JSON.',
    of: ({ service, status, path }) => service === 'orchestrator' && status === 404 && !isOurs(path),
    type: 'application/json; charset=UTF-8',
  },
  {
    reason: 'Clients of the originals read errors as application/json.',
    of: ({ classic }) => classic,
    type: 'application/json; charset=UTF-8',
  },
];

/** Whether a path is one that the originals do not have. */
function isOurs(path: string): boolean {
  return /^\/(?:v1(?:\/|$)|ready|metrics|openapi\.json|docs(?:\/[^/]*)?$)/.test(path);
}

/** The exception that holds for a refusal, where one does. */
export function exceptionOf(refusal: Refusal): Exception | undefined {
  return EXCEPTIONS.find((one) => one.of(refusal) && fits(one, refusal));
}

/** What is wrong with the form of a refusal, in one line; undefined where nothing is. */
export function misfitOf(refusal: Refusal): string | undefined {
  if (exceptionOf(refusal) !== undefined) return undefined;
  if (!isProblem(refusal, 'application/problem+json')) return `${typeOf(refusal)}: ${refusal.text}`;
  if (refusal.status === 405 && allowedBy(refusal).size === 0) return 'it has no Allow';
  return undefined;
}

/** The methods that the `Allow` of a refusal names. */
export function allowedBy({ headers }: Refusal): Set<string> {
  return new Set(
    String(headers.allow ?? '')
      .split(', ')
      .filter((method) => method !== ''),
  );
}

function fits({ type, text }: Exception, refusal: Refusal): boolean {
  if (text === undefined) return isProblem(refusal, type ?? '');
  return refusal.text === text && (text === '' || typeOf(refusal) === type);
}

/** Whether the body is a whole problem body (RFC 9457) whose members say the same as the status line. */
function isProblem(refusal: Refusal, type: string): boolean {
  const { success, data } = problemBody.safeParse(parsed(refusal.text));
  if (!success || typeOf(refusal) !== type) return false;
  const { status, title } = ERRORS[data.code];
  const isWhole =
    data.detail !== '' && data.type === `urn:morpheo:error:${data.code}` && data.title === title;
  return isWhole && data.status === refusal.status && status === refusal.status;
}

function typeOf({ headers }: Refusal): string {
  return String(headers['content-type']);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
