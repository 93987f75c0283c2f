import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ErrorCode, errnoOf, PlatformError } from '@morpheo/common';
import { bareProblem } from '../answers/problem.ts';

/**
 * Answers with a problem body what never becomes a request of an app: bytes that are no HTTP, header fields beyond
 * Node's bound, a request that does not arrive in time, and CONNECT, which is for proxies. The connection ends then.
 * Nothing is said where an answer to an earlier request is due, for it would be taken for that.
 */
export function answerUnreadable(server: Server): void {
  const latest = new WeakMap<Duplex, ServerResponse>();
  const note = (request: IncomingMessage, response: ServerResponse) =>
    void latest.set(request.socket, response);
  server.on('request', note).on('checkContinue', note).on('checkExpectation', note);
  server.on('clientError', (error, socket) => {
    const response = latest.get(socket);
    const problem = problemOfUnreadable(error);
    if (problem === undefined || owesAnswer(response) || !socket.writable) socket.destroy();
    else endWith(socket, problem);
  });
  server.on('connect', (_request, socket) => {
    const problem = new PlatformError(
      'invalid_request',
      'This service is no proxy: it does not know CONNECT.',
    );
    endWith(socket, problem);
  });
}

/** Whether an answer to a whole request before is due still: another answer would be taken for that one. */
function owesAnswer(response: ServerResponse | undefined): boolean {
  if (response === undefined || response.writableFinished) return false;
  return response.headersSent || response.req.complete;
}

/** What is to be answered by the code of Node's error; anything else of its parser is `invalid_request`. */
const CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: [
    'headers_too_large',
    'All header fields together are over the limit: send fewer, or shorter ones.',
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['too_large', 'The extensions of the chunks are over the limit: send none.'],
  ERR_HTTP_REQUEST_TIMEOUT: [
    'timed_out',
    'The header fields of the request did not arrive in time: send it again.',
  ],
};

/** The error to answer; undefined where nobody can be answered: the connection broke, or TLS was not agreed upon. */
export function problemOfUnreadable(error: Error): PlatformError | undefined {
  const errno = errnoOf(error) ?? '';
  const known = CODES[errno];
  if (known !== undefined) return new PlatformError(known[0], known[1], { cause: error });
  if (!errno.startsWith('HPE_')) return undefined;
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
  return new PlatformError('invalid_request', `The request is no HTTP that can be read: ${reason}.`, {
    cause: error,
  });
}

function endWith(socket: Duplex, problem: PlatformError): void {
  const { status, headers, body } = bareProblem(problem);
  const fields = { ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`;
  socket.on('error', () => socket.destroy());
  socket.end(`${head}${body}`, () => socket.destroy());
}
