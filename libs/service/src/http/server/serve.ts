import type { RequestListener } from 'node:http';
import cors from '@koa/cors';
import type { Api, Contract } from '@morpheo/common';
import Koa, { type Middleware } from 'koa';
import type { Log } from '../../log/index.ts';
import type { Metrics } from '../../metrics/index.ts';
import { silentTracer, type Tracer } from '../../trace/index.ts';
import type { AdmitClassic } from '../access/access.ts';
import type { Authenticate } from '../access/credentials.ts';
import { trustOf } from '../access/origin.ts';
import type { VerifyTicket } from '../access/tickets.ts';
import type { State } from '../answers/context.ts';
import { SYSTEM_PATHS } from '../answers/problem.ts';
import type { ApiInfo } from '../documents/openapi.ts';
import { createRateGuard, type RateLimits } from '../rates/guard.ts';
import { countOthers } from '../rates/limited.ts';
import { createStreamGuard, STREAM_DEFAULTS, type StreamLimits } from '../rates/streams.ts';
import { type Limits, withDefaults } from '../routes/parse-input.ts';
import { createRoutes } from '../routes/routes.ts';
import { SYSTEM_ROUTES, systemRoutes } from '../routes/system-routes.ts';
import { createCalls } from './calls.ts';
import { type Descriptors, watchDescriptors } from './descriptors.ts';
import { envelope } from './envelope.ts';
import { fallback } from './fallback.ts';
import { measureParts, measureRequests } from './measure.ts';
import { plainPaths } from './plain-path.ts';
import type { Check, Warn } from './ready.ts';
import { shortFields } from './short-fields.ts';

/** An API and what it is served with. */
export interface ServeOptions<C extends Contract> {
  readonly contract: C;
  readonly api: Api<C>;
  readonly info: ApiInfo;
  /** The parts that the service needs, by name; `/ready` asks them. */
  readonly checks: Readonly<Record<string, Check>>;
  /** What of these parts is to be warned of where they answer, by the same names. */
  readonly warnings?: Readonly<Record<string, Warn>> | undefined;
  /** Null: no credentials are asked for and every caller may do everything; see `refuseOpenListen`. */
  readonly authenticate: Authenticate | null;
  /** Lets callers into the routes of the originals in a way of their own; see `AccessRules`. */
  readonly admitClassic?: AdmitClassic | undefined;
  /** Knows callers by their tickets; see `ticketVerifier`. Nobody where absent. */
  readonly tickets?: VerifyTicket | undefined;
  /** Whether `intake` routes are open to callers without credentials, as in the originals. */
  readonly anonymousIntake: boolean;
  readonly log: Log;
  /** Where given, requests are measured in it and `/metrics` shows it. */
  readonly metrics?: Metrics | undefined;
  /** Where given, the answer to each request is a span of the caller's trace, or of a new one. */
  readonly tracer?: Tracer | undefined;
  /** The keys of routes that are no spans: what is asked every few seconds would drown the rest. */
  readonly untraced?: readonly string[] | undefined;
  readonly limits?: Limits | undefined;
  /** What one client may ask; anything where absent. */
  readonly rateLimits?: RateLimits | undefined;
  /** How many live streams may be open; {@link STREAM_DEFAULTS} where absent. */
  readonly streamLimits?: StreamLimits | undefined;
  /**
   * Answer pages of other origins (CORS). Any origin is echoed, with `Vary: Origin`, and may call with a token that
   * its script holds; only listed `origins` may use credentials that the browser keeps
   * (`Access-Control-Allow-Credentials`), since any page could use those. The original storage allows that to every
   * origin: list `*` for a client that relies on it.
   */
  readonly cors?: boolean | undefined;
  /**
   * The origins whose pages are trusted, such as `https://dashboard.example`; `*` is any. Others may not change
   * anything with Basic credentials in a form post, and nothing at all where no credentials are asked for; the latter
   * is never opened by `*`, only by name.
   */
  readonly origins?: readonly string[] | undefined;
  /** Check answers against the contract and fail where they do not fit: for tests. */
  readonly validateResponses?: boolean | undefined;
}

/** An app that answers requests; `listen` gives it a server. */
export interface HttpApp {
  readonly handle: RequestListener;
  /** Whoever listens looks at them now and then. */
  readonly descriptors: Pick<Descriptors, 'look'>;
  /** Ends the live streams under way, now, and those that come: events, and bytes of unknown length. */
  endStreams(): void;
  /** Aborts every call under way: their signals tell the handlers. */
  abort(): void;
}

/**
 * Serves an API by its contract: routes, credentials, parsing, errors, and what every service has (`/health`,
 * `/ready`, `/openapi.json`, `/docs`, `/metrics`). Nothing listens yet.
 *
 * Every error leaves as a problem body (RFC 9457); one that is not a `PlatformError` is answered with 500, which
 * leaks nothing, and logged with its cause.
 */
export function createHttpApp<C extends Contract>(options: ServeOptions<C>): HttpApp {
  const { contract, log, metrics, origins = [], tracer = silentTracer } = options;
  const calls = createCalls();
  const guard = createRateGuard(options.rateLimits, metrics);
  const routes = createRoutes({
    contract,
    api: options.api as unknown as Api<Contract>,
    rules: {
      authenticate: options.authenticate,
      tickets: options.tickets,
      admitClassic: options.admitClassic,
      anonymousIntake: options.anonymousIntake,
      origins,
    },
    guard,
    openStream: createStreamGuard(options.streamLimits ?? STREAM_DEFAULTS, metrics),
    limits: withDefaults(options.limits),
    calls,
    validateResponses: options.validateResponses ?? false,
  });
  const app = new Koa<State>();
  // Koa tells of connections that broke while it answered; the line of the request has said so.
  app.on('error', (error: Error) => log.debug({ error }, 'A connection broke'));
  measureParts(metrics, options.checks, options.info);
  const untraced = new Set([...SYSTEM_ROUTES, ...(options.untraced ?? [])]);
  app.use(envelope({ contract, log, measure: measureRequests(metrics), tracer, untraced }));
  app.use(shortFields(guard));
  app.use(methodOverride(contract));
  if (options.cors === true) app.use(crossOrigin(origins));
  app.use(plainPaths(guard));
  app.use(countOthers(guard, ({ path }) => SYSTEM_PATHS.test(path)));
  const { info, checks, warnings } = options;
  const descriptors = watchDescriptors(log);
  const system = systemRoutes({ contract, info, checks, warnings, metrics, descriptors });
  app.use(system.routes());
  app.use(routes.routes());
  app.use(countOthers(guard, ({ path }) => !SYSTEM_PATHS.test(path)));
  app.use(fallback({ contract, routes, system }));
  return {
    handle: app.callback(),
    descriptors,
    endStreams: () => calls.endStreams(),
    abort: () => calls.abort(),
  };
}

const READABLE = [
  'ETag',
  'Repr-Digest',
  'Content-Range',
  'Content-Disposition',
  'Retry-After',
  'X-Request-Id',
  // What a resumable upload is told by (tus 1.0).
  'Location',
  'Tus-Resumable',
  'Tus-Version',
  'Tus-Extension',
  'Tus-Max-Size',
  'Upload-Offset',
  'Upload-Length',
  'Upload-Expires',
  'Upload-Resource',
];

/** The one page of every service that pages of any origin may read, as those of the original: it says nothing. */
const READABLE_BY_ALL = '/health';

/**
 * CORS for the routes of the contract. What a service tells of itself (whether it is well, how much of everything there
 * is) is for pages of its own and of origins that are listed by name.
 */
function crossOrigin(origins: readonly string[]): Koa.Middleware {
  const open = cors({
    origin: (ctx) => ctx.get('Origin'),
    credentials: (ctx) => trustOf(ctx, origins) !== 'foreign',
    exposeHeaders: READABLE,
    maxAge: 600,
    keepHeadersOnError: false,
  });
  return async (ctx, next) => {
    const trust = trustOf(ctx, origins);
    const listed = trust === 'own' || trust === 'named';
    if (listed || ctx.path === READABLE_BY_ALL || !SYSTEM_PATHS.test(ctx.path)) return await open(ctx, next);
    ctx.vary('Origin');
    return await next();
  };
}

/**
 * Takes the method of a POST from `X-HTTP-Method-Override`, where the contract allows that, before anything asks for it.
 * No other method is replaced: a link must stay one that changes nothing.
 */
function methodOverride({ methodOverride: prefix }: Contract): Middleware<State> {
  return async (ctx, next) => {
    const wanted = ctx.req.headers['x-http-method-override'];
    const allowed = prefix !== undefined && (ctx.path === prefix || ctx.path.startsWith(`${prefix}/`));
    if (allowed && ctx.method === 'POST' && typeof wanted === 'string') ctx.method = wanted.toUpperCase();
    return await next();
  };
}
