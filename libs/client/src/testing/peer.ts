import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

/** A request as a peer saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A server that answers as a test says, and what it saw. */
export interface Peer {
  readonly url: string;
  readonly seen: readonly Seen[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Runs a plain server on a free port; `answer` is called when a request has come whole. */
export async function openPeer(
  answer: (response: ServerResponse, request: IncomingMessage) => void,
): Promise<Peer> {
  const seen: Seen[] = [];
  // Idle connections stay: on a busy machine one would be closed just when the client uses it again.
  const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
    const take = async () => {
      const { method = '', url = '', headers } = request;
      seen.push({ method, url, headers, body: await text(request) });
      answer(response, request);
    };
    // A client that cut its request gets no answer.
    take().catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
