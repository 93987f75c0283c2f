import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type ImageReference, type PinnedReference, parsePinnedImage } from '@morpheo/common';
import type { Stored, TestImage } from './image.ts';

/** What a request to a registry gets in place of the answer that is due to it. */
export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Bytes in place of those that are asked for. */
  | { readonly bytes: Buffer }
  /** The connection breaks after so many bytes of the body. */
  | { readonly cutAfter: number }
  /** Nothing comes. */
  | 'silence';

/** One request, as a test looks at it. */
export interface SeenRequest {
  readonly method: string;
  /** With what is asked of it. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** What to start a {@link TestRegistry} with. */
export interface RegistryRequest {
  /** Who may fetch; everybody where absent. */
  readonly auth?: {
    readonly scheme: 'basic' | 'bearer';
    readonly username: string;
    readonly password: string;
  };
  /** A certificate and its key: it speaks TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Where blobs are: a base to which their path is added. */
  readonly blobsAt?: () => string | undefined;
  readonly fault?: (request: SeenRequest, nth: number) => Fault | undefined;
}

/** A registry of a test, on 127.0.0.1. */
export interface TestRegistry extends AsyncDisposable {
  /** With its port. */
  readonly host: string;
  /** With its scheme, as `--registries` has it. */
  readonly address: string;
  readonly seen: readonly SeenRequest[];
  /** Takes in an image, and says what its reference is. */
  put(repository: string, image: TestImage): PinnedReference;
  /** Takes in one thing: a manifest or index, also by a tag, or a blob. */
  putOne(repository: string, one: Stored, as: 'manifests' | 'blobs', tag?: string): PinnedReference;
}

/**
 * Starts a registry that serves images as OCI's distribution specification has it, with tokens and passwords, ranges and
 * redirects; and that misbehaves on request.
 */
export async function startTestRegistry(request: RegistryRequest = {}): Promise<TestRegistry> {
  const { tls, auth, blobsAt, fault } = request;
  const things = new Map<string, Stored>();
  const seen: SeenRequest[] = [];
  const listener = (incoming: IncomingMessage, response: ServerResponse): void => {
    const { method = '', url: path = '', headers } = incoming;
    const one = { method, path, authorization: headers.authorization, range: headers.range };
    const nth = seen.filter((before) => before.path === path).length;
    seen.push(one);
    const wrong = fault?.(one, nth);
    if (wrong !== undefined && wrong !== 'silence' && 'status' in wrong)
      response.writeHead(wrong.status, wrong.headers).end('{}');
    else if (wrong !== 'silence') answer(one, response, wrong);
  };
  const answer = (
    one: SeenRequest,
    response: ServerResponse,
    wrong: Exclude<Fault, 'silence'> | undefined,
  ): void => {
    const base = `${tls === undefined ? 'http' : 'https'}://${host()}`;
    const thing = things.get(one.path);
    const away = one.path.includes('/blobs/') ? blobsAt?.() : undefined;
    if (one.path.startsWith('/token')) giveToken(one, response, auth);
    else if (!isLetIn(one, auth)) challenge(response, auth, base);
    else if (thing === undefined) response.writeHead(404).end('{"errors":[{"code":"NOT_FOUND"}]}');
    else if (away !== undefined) response.writeHead(307, { location: away + one.path }).end();
    else send(thing, one, response, wrong);
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer({ ...tls }, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = () => `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const putOne: TestRegistry['putOne'] = (repository, one, as, tag) => {
    for (const name of [one.digest, ...(tag === undefined ? [] : [tag])])
      things.set(`/v2/${repository}/${as}/${name}`, one);
    return parsePinnedImage(`${host()}/${repository}@${one.digest}`);
  };
  return {
    host: host(),
    address: `${tls === undefined ? 'http' : 'https'}://${host()}`,
    seen,
    putOne,
    put: (repository, { manifest, config, layers }) => {
      for (const blob of [config, ...layers]) putOne(repository, blob, 'blobs');
      return putOne(repository, manifest, 'manifests');
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The reference of a tag, beside that of a digest. */
export function tagged({ digest: _, ...image }: PinnedReference, tag: string): ImageReference {
  return { ...image, tag };
}

const TOKEN = 'token-of-the-test';

function isLetIn({ authorization }: SeenRequest, auth: RegistryRequest['auth']): boolean {
  if (auth === undefined) return true;
  return authorization === (auth.scheme === 'bearer' ? `Bearer ${TOKEN}` : basic(auth));
}

function challenge(response: ServerResponse, auth: RegistryRequest['auth'], base: string): void {
  const field =
    auth?.scheme === 'bearer'
      ? `Bearer realm="${base}/token",service="a \\"test\\"",scope="x"`
      : 'Basic realm="test"';
  response.writeHead(401, { 'www-authenticate': field }).end('{}');
}

function giveToken(
  { authorization }: SeenRequest,
  response: ServerResponse,
  auth: RegistryRequest['auth'],
): void {
  if (auth === undefined || authorization !== basic(auth)) response.writeHead(401).end('{}');
  else response.writeHead(200).end(JSON.stringify({ token: TOKEN, expires_in: 300 }));
}

function basic({ username, password }: NonNullable<RegistryRequest['auth']>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function send(
  { bytes, mediaType }: Stored,
  { range }: SeenRequest,
  response: ServerResponse,
  wrong: Exclude<Fault, 'silence'> | undefined,
): void {
  const whole = wrong !== undefined && 'bytes' in wrong ? wrong.bytes : bytes;
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
  const body = whole.subarray(from);
  const about = { 'content-type': mediaType, 'content-length': body.byteLength };
  const partial = { 'content-range': `bytes ${from}-${whole.byteLength - 1}/${whole.byteLength}` };
  response.writeHead(from === 0 ? 200 : 206, { ...about, ...(from === 0 ? {} : partial) });
  if (wrong === undefined || !('cutAfter' in wrong)) response.end(body);
  else response.write(body.subarray(0, wrong.cutAfter), () => setImmediate(() => response.destroy()));
}
