import type { IncomingMessage, ServerResponse } from 'node:http';
import { hasUnreadBody } from '../routes/request-body.ts';

/** An answer that is whole in memory. */
export interface Answer {
  readonly status: number;
  /** By lower-case name; added to those that are set already. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

/** How much is read of a body that nobody wants, in all and with how long a silence. */
interface Bounds {
  readonly bytes: number;
  readonly ms: number;
  readonly silentMs: number;
}

/** Enough for a client that reads no answer before it has sent all. */
const LINGER: Bounds = { bytes: 64 * 1024 * 1024, ms: 5000, silentMs: 500 };
/** A rest of this size is read before the answer, which keeps the connection. */
const SMALL: Bounds = { bytes: 64 * 1024, ms: 1000, silentMs: 500 };

/**
 * Sends an answer. Where the request's body was not read to its end, a small rest is read and dropped; of a large one
 * a bounded part, beside the answer, and then the connection is closed. Never throws, never hangs.
 */
export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  if (response.headersSent || response.destroyed) return;
  const body = request.method === 'HEAD' ? '' : answer.body;
  const headers: Record<string, string> = { ...answer.headers };
  // RFC 9110 §8.6: an answer that never has content does not tell its length.
  if (answer.status !== 204 && answer.status !== 304) {
    headers['content-length'] = String(Buffer.byteLength(answer.body));
  }
  if (await isRead(request)) {
    response.writeHead(answer.status, headers).end(body);
    return;
  }
  response.writeHead(answer.status, { ...headers, connection: 'close' });
  // Written but not ended: the end would close the socket under a client that is still sending.
  response.write(body);
  await drop(request, LINGER);
  response.end();
}

async function isRead(request: IncomingMessage): Promise<boolean> {
  if (!hasUnreadBody(request)) return true;
  const announced = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  const comes = request.headers.expect === undefined && !request.destroyed;
  return comes && announced <= SMALL.bytes && (await drop(request, SMALL));
}

/** Reads and drops within the bounds. Resolves to whether the end was reached. */
function drop(request: IncomingMessage, most: Bounds): Promise<boolean> {
  return new Promise((resolve) => {
    if (request.readableEnded || request.destroyed) return resolve(request.readableEnded);
    let size = 0;
    const whole = setTimeout(() => settle(false), most.ms);
    const silence = setTimeout(() => settle(false), most.silentMs);
    const onData = (chunk: Buffer) => {
      silence.refresh();
      size += chunk.length;
      if (size > most.bytes) settle(false);
    };
    const onEnd = () => settle(true);
    const onCut = () => settle(false);
    function settle(ended: boolean): void {
      clearTimeout(whole);
      clearTimeout(silence);
      request.pause();
      request.off('data', onData).off('end', onEnd).off('close', onCut).off('error', onCut);
      resolve(ended);
    }
    request.on('data', onData).on('end', onEnd).on('close', onCut).on('error', onCut);
    request.resume();
  });
}
