import { once } from 'node:events';
import { chmod, open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { errnoOf, issueMessage } from '@morpheo/common';
import { z } from 'zod';
import { ProtocolFault } from './errors.ts';
import type { CallAnswer, Door, DoorOptions, RunnerDesk } from './protocol.ts';

/** Where a runner finds the folder of the socket, and the variable that says where the socket is. */
const FOLDER = '/run/morpheo';
const SOCKET = 'runner.sock';
const VARIABLE = 'MORPHEO_RUNNER';

/** What a runner may say at a time, in bytes. */
const BODY_BYTES = 64 * 1024;
/** How long a runner that asks is kept waiting before it is to ask again, in milliseconds. */
const POLL_MS = 60_000;
/** How many connections a runner may have: one for each call that it has, one that asks for more, and some that are closing. */
const CONNECTIONS = 80;
/** So many connections beyond these are hung up on; who goes on does not want to be answered. */
const MOST_DROPPED = 1000;
/** The address of a socket has room for so many bytes. */
const ADDRESS_BYTES = 107;

const NEXT = /^\/next(?:\?max=([1-9]|[1-5]\d|6[0-4]))?$/;

const answerSchema = z.discriminatedUnion('ok', [
  z.strictObject({ id: z.string().max(100), ok: z.literal(true) }),
  z.strictObject({
    id: z.string().max(100),
    ok: z.literal(false),
    message: z.string(),
    type: z.string().optional(),
    traceback: z.string().optional(),
  }),
]);

/** How the door is opened; `pollMs` is for tests. */
export interface HttpDoorOptions extends DoorOptions {
  readonly pollMs?: number | undefined;
}

/**
 * Our own contract (docs/runners.md): HTTP/1.1 at a socket of the worker, at which the program asks for calls
 * (`GET /next`) and answers them (`POST /done`).
 */
export async function openHttpDoor({ folder, desk, hasHostPaths, pollMs }: HttpDoorOptions): Promise<Door> {
  await using stack = new AsyncDisposableStack();
  const handle = stack.use(await open(folder));
  const server = stack.adopt(createServer({ maxHeaderSize: 8192, keepAlive: true }), (listening) => {
    listening.close();
    listening.closeAllConnections();
  });
  // The clocks of calls are the runner's own: a connection may rest as long as a call takes.
  Object.assign(server, {
    keepAliveTimeout: 0,
    headersTimeout: 0,
    requestTimeout: 0,
    maxConnections: CONNECTIONS,
  });
  new Talk(desk, pollMs ?? POLL_MS).listenTo(server);
  // The address of a socket has room for 107 bytes, and the path of a folder may be longer.
  server.listen({ path: `/proc/self/fd/${handle.fd}/${SOCKET}`, writableAll: true });
  await once(server, 'listening');
  const socket = join(folder, SOCKET);
  await chmod(socket, 0o666);
  const isShort = Buffer.byteLength(socket) <= ADDRESS_BYTES;
  const opened = stack.move();
  return {
    environment: {
      [VARIABLE]:
        hasHostPaths && !isShort ? `/proc/${process.pid}/fd/${handle.fd}/${SOCKET}` : `${FOLDER}/${SOCKET}`,
    },
    mounts: [{ host: folder, container: FOLDER, readOnly: true }],
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** What a program says over HTTP, and is told. */
class Talk {
  readonly #desk: RunnerDesk;
  readonly #pollMs: number;

  constructor(desk: RunnerDesk, pollMs: number) {
    this.#desk = desk;
    this.#pollMs = pollMs;
  }

  listenTo(server: Server): void {
    server.on('request', (request, response) => void this.#answer(request, response));
    const refuse = (what: string) => this.#desk.fault(new ProtocolFault(`The runner ${what}.`));
    for (const event of ['upgrade', 'connect'] as const) {
      server.on(event, (_request: IncomingMessage, socket: { destroy(): void }) => {
        socket.destroy();
        refuse('asked for a connection of another kind');
      });
    }
    let dropped = 0;
    server.on('drop', () => {
      dropped += 1;
      if (dropped > MOST_DROPPED) refuse(`went on connecting while it had ${CONNECTIONS} connections`);
    });
    server.on('clientError', (error: Error, socket) => {
      socket.destroy();
      // A program that ends leaves its connections as they are: how it ended says more.
      if (errnoOf(error)?.startsWith('HPE_') === true) refuse(`does not speak HTTP/1.1: ${error.message}`);
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.sendDate = false;
    try {
      const { method, url = '' } = request;
      const most = NEXT.exec(url);
      if (method === 'GET' && most !== null) return await this.#next(Number(most[1] ?? 1), response);
      if (method === 'POST' && url === '/done') return await this.#done(request, response);
      throw new ProtocolFault(
        `The runner asked ${method} ${url.slice(0, 100)}: there are GET /next, with max from 1 to 64, and POST /done.`,
      );
    } catch (error) {
      if (!(error instanceof ProtocolFault)) return void response.destroy();
      send(response, error.isConflict ? 409 : 400, JSON.stringify({ error: error.message }));
      this.#desk.fault(error);
    }
  }

  async #next(most: number, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    const timer = setTimeout(() => gone.abort(), this.#pollMs);
    const hungUp = () => gone.abort();
    response.once('close', hungUp);
    const calls = await this.#desk.next(most, gone.signal).finally(() => clearTimeout(timer));
    response.off('close', hungUp);
    if (calls.length === 0) return send(response, 204);
    response.once('close', () => {
      if (!response.writableFinished)
        this.#desk.fault(new ProtocolFault('The runner hung up while it was given a call.'));
    });
    send(response, 200, JSON.stringify({ calls }));
  }

  async #done(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { id, ...answer } = parseAnswer(await bodyOf(request));
    this.#desk.answer(id, answer);
    send(response, 204);
  }
}

function parseAnswer(body: string): { readonly id: string } & CallAnswer {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new ProtocolFault('The runner sent to /done what is not JSON.');
  }
  const read = answerSchema.safeParse(json);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const said = issue === undefined ? '' : `${issue.path.join('.')} ${issueMessage(issue)}`;
  throw new ProtocolFault(`The runner sent to /done what is not of the contract: ${said.trim()}.`);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const tooLong = () => new ProtocolFault(`The runner sent more than ${BODY_BYTES} bytes to /done.`);
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES) throw tooLong();
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!(chunk instanceof Buffer)) continue;
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES) throw tooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function send(response: ServerResponse, status: 200 | 204 | 400 | 409, body = ''): void {
  if (response.destroyed) return;
  // After a fault nothing of the program is read any more.
  if (status >= 400) response.setHeader('connection', 'close');
  if (body !== '') {
    response.setHeader('content-type', 'application/json');
    response.setHeader('content-length', Buffer.byteLength(body));
  }
  response.writeHead(status).end(body);
}
