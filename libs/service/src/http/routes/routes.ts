import type { IncomingMessage } from 'node:http';
import Router, { type RouterContext } from '@koa/router';
import {
  type Api,
  type BytesOut,
  type Contract,
  type Endpoint,
  type HeadersOut,
  PlatformError,
  type Principal,
  type ServerEvent,
} from '@morpheo/common';
import { concerns, readConcern } from '../../trace/index.ts';
import type { AccessRules } from '../access/access.ts';
import { writeBytes } from '../answers/byte-stream.ts';
import { answer, type Context, type State } from '../answers/context.ts';
import { writeEvents } from '../answers/event-stream.ts';
import { CLASSIC_JSON } from '../answers/problem.ts';
import { clientOf } from '../rates/client-address.ts';
import type { RateGuard } from '../rates/guard.ts';
import { admitCounted, TRUSTED } from '../rates/limited.ts';
import type { OpenStream } from '../rates/streams.ts';
import type { Calls, OpenCall } from '../server/calls.ts';
import type { Limits } from './parse-input.ts';
import { isPathOf, type ParsedInput, parseBody, parseParts } from './parse-input.ts';

/** What the routes of an API are made of. */
export interface RouteParts {
  readonly contract: Contract;
  readonly api: Api<Contract>;
  readonly rules: AccessRules;
  readonly guard: RateGuard;
  readonly openStream: OpenStream;
  readonly limits: Required<Limits>;
  readonly calls: Calls;
  readonly validateResponses: boolean;
}

/** The status of what was put off; see `Endpoint.deferred`. */
const DEFERRED = 202;

/** The routes of a contract, in its order: where two match, the earlier one answers. HEAD only where it is named. */
export function createRoutes(parts: RouteParts): Router<State> {
  const router = new Router<State>({ strict: true, sensitive: true });
  for (const [key, endpoint] of Object.entries(parts.contract.endpoints)) {
    const layer = router.register(
      endpoint.path,
      [endpoint.method],
      // What is no path of this route may be one of a later route.
      (ctx, next) => (isPathOf(endpoint, ctx.params) ? serve(ctx, key, endpoint, parts) : next()),
      {
        name: key,
      },
    );
    // The router adds HEAD to every GET; the originals answer 404 to it.
    if ('methods' in layer) layer.methods = [endpoint.method];
  }
  return router;
}

/** One request: the path, the caller, the input, the handler, the answer; each may refuse by throwing. */
async function serve(
  ctx: RouterContext<State>,
  key: string,
  endpoint: Endpoint,
  parts: RouteParts,
): Promise<void> {
  const { req, res } = ctx;
  ctx.state.endpoint = endpoint;
  for (const [name, value] of Object.entries(endpoint.always ?? {})) res.setHeader(name, value);
  ctx.state.route = key;
  const call = parts.calls.open(res);
  const principal = await admitCounted(endpoint, ctx, parts.rules, parts.guard);
  ctx.state.principal = principal;
  const input = parseParts(endpoint, { params: ctx.params, query: ctx.query, headers: req.headers });
  if (parts.rules.authenticate !== null && principal !== undefined) noteConcern(principal, req);
  noteOrder(parts.contract, ctx.params);
  if (endpoint.body !== undefined) input.body = await parseBody(endpoint.body, req, res, parts.limits);
  const { signal, sent } = call;
  const output = await run(parts.api, key, input, { signal, principal, sent });
  if (parts.validateResponses) requireFit(key, endpoint, output);
  const known = parts.rules.authenticate !== null && principal !== undefined;
  const caller = known ? `caller ${principal.name}` : `address ${clientOf(req.socket.remoteAddress)}`;
  const openStream = () => parts.openStream(caller);
  await reply(ctx, endpoint, output, { call, limits: parts.limits, openStream });
}

/** What a service of the platform says that its request is for. Strangers, and users, say nothing for our logs. */
function noteConcern({ roles, ticket }: Principal, { headers }: IncomingMessage): void {
  const { order, attempt } =
    ticket ?? (roles.some((role) => TRUSTED.includes(role)) ? readConcern(headers) : {});
  if (order !== undefined) concerns(order, attempt);
}

/** Parameters that fit the contract: what else stands in a path is not taken for an order. */
function noteOrder({ order: name }: Contract, params: Readonly<Partial<Record<string, string>>>): void {
  const order = name === undefined ? undefined : params[name];
  if (order === undefined) return;
  concerns(order, params.attempt === undefined ? undefined : Number(params.attempt));
}

type Handler = (
  input: ParsedInput,
  call: { signal: AbortSignal; principal: unknown; sent: Promise<unknown> },
) => Promise<unknown>;

function run(api: Api<Contract>, key: string, ...args: Parameters<Handler>): Promise<unknown> {
  const handlers = api as unknown as Readonly<Record<string, Handler | undefined>>;
  const handler = handlers[key];
  if (handler === undefined) throw new Error(`The API has no handler for ${key}`);
  return handler.apply(api, args);
}

async function reply(
  ctx: Context,
  { status, response, classic, deferred }: Endpoint,
  output: unknown,
  {
    call,
    limits,
    openStream,
  }: {
    readonly call: OpenCall;
    readonly limits: Required<Limits>;
    readonly openStream: () => Disposable;
  },
): Promise<void> {
  if (response.type === 'none') return answer(ctx, { status, headers: {}, body: '' });
  if (response.type === 'headers') {
    return answer(ctx, { status, headers: (output as HeadersOut).headers, body: '' });
  }
  if (response.type === 'json' || response.type === 'unread') {
    const headers = { 'content-type': classic === true ? CLASSIC_JSON : 'application/json' };
    const location = deferred?.(output);
    return answer(ctx, {
      status: location === undefined ? status : DEFERRED,
      headers: {
        ...headers,
        'cache-control': 'no-store',
        ...(location === undefined ? {} : { location, 'preference-applied': 'respond-async' }),
      },
      body: JSON.stringify(output),
    });
  }
  // The contract's types bind each kind of response to its output.
  if (response.type === 'bytes') {
    const bytes = output as BytesOut;
    if (Object.hasOwn(bytes.headers, 'content-length') || bytes.body === undefined) {
      ctx.respond = false;
      return await writeBytes(ctx.req, ctx.res, bytes);
    }
    using _ = await streamOf(bytes.body, openStream);
    ctx.respond = false;
    call.markLive();
    return await writeBytes(ctx.req, ctx.res, bytes);
  }
  using _ = openStream();
  ctx.respond = false;
  call.markLive();
  const events = output as AsyncIterable<ServerEvent<unknown>>;
  return await writeEvents(ctx.res, { events, signal: call.signal, heartbeatMs: limits.heartbeatMs });
}

/** Opens a stream for bytes, which nobody reads where that is refused. */
async function streamOf(body: ReadableStream<Uint8Array>, openStream: () => Disposable): Promise<Disposable> {
  try {
    return openStream();
  } catch (error) {
    await body.cancel(error);
    throw error;
  }
}

function requireFit(key: string, { response }: Endpoint, output: unknown): void {
  if (response.type !== 'json' && response.type !== 'unread') return;
  const result = response.schema.safeParse(output);
  if (result.success) return;
  throw new PlatformError('internal', `The handler of ${key} answered what its contract does not know.`, {
    cause: result.error,
  });
}
