import { request } from 'node:http';
import { text } from 'node:stream/consumers';

/** A call of the Engine's API behind a socket; returns its JSON, or undefined where it answers with none. */
export async function engine(socketPath: string, method: string, path: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const call = request({ socketPath, method, path, agent: false, timeout: 60_000 }, (response) => {
    text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
  });
  call.on('error', reject);
  call.on('timeout', () => call.destroy(new Error(`${method} ${path} was not answered within 60 seconds`)));
  call.end();
  const { status, body } = await promise;
  if (status >= 400) throw new Error(`${method} ${path}: ${status} ${body.trim()}`);
  return body.startsWith('{') || body.startsWith('[') ? JSON.parse(body) : undefined;
}
