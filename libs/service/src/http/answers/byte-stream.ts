import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type BytesOut, PlatformError } from '@morpheo/common';
import { readerWithMemory, sendStream } from './send-stream.ts';

/**
 * Sends bytes with the status and headers that describe them, no faster than the client reads. A client that goes
 * away cancels the stream (`cancelled` is thrown). Where the stream fails in the middle the connection is cut, so that
 * nobody takes a part for the whole, and what it threw is thrown.
 */
export async function writeBytes(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: BytesOut,
): Promise<void> {
  response.writeHead(status, headers);
  if (body === undefined || request.method === 'HEAD') {
    response.end();
    await body?.cancel();
    return;
  }
  // A live stream of unknown length may be silent for long: the client should know at once that it is there.
  if (!Object.hasOwn(headers, 'content-length')) response.flushHeaders();
  const reader = readerWithMemory(body);
  if (reader !== undefined) return await sendStream(reader, response);
  try {
    await pipeline(Readable.from(body, { objectMode: false }), response);
  } catch (cause) {
    if (!isCode(cause, 'ERR_STREAM_PREMATURE_CLOSE')) throw cause;
    throw new PlatformError('cancelled', 'The client closed the connection.', { cause });
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
