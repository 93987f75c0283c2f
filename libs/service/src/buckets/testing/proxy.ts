import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** Stands before a server; what it passes on is signed as it was. */
export interface S3Proxy extends AsyncDisposable {
  readonly endpoint: string;
}

/** Is told of each request before it goes on; one that it has answered, or whose connection it closed, does not. */
export type BeforeRequest = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** Starts a proxy before the server at `endpoint`. */
export async function startS3Proxy(endpoint: string, before: BeforeRequest): Promise<S3Proxy> {
  const { hostname: host, port } = new URL(endpoint);
  const server = createServer({ keepAliveTimeout: 600_000 }, async (given, response) => {
    await before(given, response);
    if (response.writableEnded || response.destroyed) {
      given.resume();
      return;
    }
    const { method, url: path, headers } = given;
    const onward = request({ host, port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    await pipeline(given, onward).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
