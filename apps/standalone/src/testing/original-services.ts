import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** A service of the originals, as far as a worker of theirs and compute-api call it. */
export interface OriginalService extends AsyncDisposable {
  readonly url: string;
}

/** The original's storage-api, which has the things that it is given, and nothing under `/v1`. */
export async function startOriginalStorage(has: readonly string[]): Promise<OriginalService> {
  const things = new Map(has.map((path) => [path, '']));
  return await serve(({ method, path, query, body, answer }) => {
    if (method === 'GET') {
      const [, thing = '', blob] = /^\/(\w+\/[\w-]+)(\/blob)?$/.exec(path) ?? [];
      const bytes = things.get(thing);
      if (bytes === undefined) return answer(404, 'Error retrieving: sql: no rows in result set');
      return answer(
        200,
        blob === undefined ? JSON.stringify({ uuid: path.slice(-36), timestamp_upload: 1 }) : bytes,
      );
    }
    const posted = path === '/prediction' ? /\r\n\r\n([0-9a-f-]{36})\r\n/.exec(body)?.[1] : query.get('uuid');
    if (method !== 'POST' || !['/model', '/prediction'].includes(path)) return answer(404, 'Not Found');
    const key = `${path.slice(1)}/${posted}`;
    if (things.has(key)) return answer(500, '{"error":"pq: duplicate key value"}');
    things.set(key, body);
    answer(201, JSON.stringify({ uuid: posted, timestamp_upload: 1 }));
  });
}

/** An orchestrator of the original that has heard of orders: what it was told of each, and what it believes of it. */
export interface OriginalOrchestrator extends OriginalService {
  /** The bodies by which an order was said to have ended, and which changed something; by order. */
  readonly ends: ReadonlyMap<string, readonly string[]>;
}

/** Starts one that knows nothing else. */
export async function startOriginalOrchestrator(): Promise<OriginalOrchestrator> {
  const [status, ends] = [new Map<string, string>(), new Map<string, string[]>()];
  const service = await serve(({ path, body, answer }) => {
    const [, , kind] = path.split('/');
    const uuid = path.slice(-36);
    if (path.startsWith('/worker/')) {
      if (status.has(uuid))
        return answer(400, `{"Error":"worker not set for ${kind} ${uuid}. Might be already pending"}`);
      status.set(uuid, 'pending');
      return answer(200, JSON.stringify({ [`${kind}_worker_set`]: uuid }));
    }
    const said = JSON.parse(body) as { status: string };
    if (status.get(uuid) === said.status) return answer(400, `{"Error":"no update of ${uuid}"}`);
    status.set(uuid, said.status);
    ends.set(uuid, [...(ends.get(uuid) ?? []), body]);
    answer(200, '{}');
  });
  return { ...service, ends };
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
  readonly answer: (status: number, body: string) => void;
}

async function serve(handle: (asked: Asked) => void): Promise<OriginalService> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    void buffer(request).then((bytes) => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://original');
      handle({
        ...{
          method: request.method ?? '',
          path: pathname,
          query: searchParams,
          body: bytes.toString('latin1'),
        },
        answer: (status, body) => void response.writeHead(status).end(body),
      });
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
