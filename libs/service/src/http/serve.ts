import type { RequestListener } from 'node:http';
import cors from '@koa/cors';
import type { Api, Contract } from '@morpheo/common';
import Koa from 'koa';
import type { Log } from '../log/index.ts';
import type { Metrics } from '../metrics/index.ts';
import { silentTracer, type Tracer } from '../trace/index.ts';
import { createCalls } from './calls.ts';
import type { Authenticate } from './credentials.ts';
import { endOfTheRoad } from './end-of-the-road.ts';
import { HOUSE_PATHS, HOUSE_ROUTES, houseRoutes } from './house-routes.ts';
import { type Limits, withDefaults } from './limits.ts';
import { measureParts, measureRequests } from './measure.ts';
import type { ApiInfo } from './openapi.ts';
import { trustOf } from './origin.ts';
import { outermost } from './outermost.ts';
import { createRateGuard, type RateLimits } from './rate-guard.ts';
import { countOthers } from './rate-limited.ts';
import type { Check } from './ready.ts';
import { createRoutes } from './routes.ts';
import type { State } from './state.ts';

/** An API and what it is served with. */
export interface ServeOptions<C extends Contract> {
  readonly contract: C;
  readonly api: Api<C>;
  readonly info: ApiInfo;
  /** The parts that the service needs, by name; `/ready` asks them. */
  readonly checks: Readonly<Record<string, Check>>;
  /** Null: no credentials are asked for and every caller may do everything; see `refuseOpenListen`. */
  readonly authenticate: Authenticate | null;
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
    rules: { authenticate: options.authenticate, anonymousIntake: options.anonymousIntake, origins },
    guard,
    limits: withDefaults(options.limits),
    calls,
    validateResponses: options.validateResponses ?? false,
  });
  const app = new Koa<State>();
  // Koa tells of connections that broke while it answered; the line of the request has said so.
  app.on('error', (error: Error) => log.debug({ error }, 'A connection broke'));
  measureParts(metrics, options.checks, options.info);
  const untraced = new Set([...HOUSE_ROUTES, ...(options.untraced ?? [])]);
  app.use(outermost({ contract, log, measure: measureRequests(metrics), tracer, untraced }));
  if (options.cors === true) app.use(crossOrigin(origins));
  app.use(countOthers(guard, ({ path }) => HOUSE_PATHS.test(path)));
  app.use(houseRoutes({ contract, info: options.info, checks: options.checks, metrics }).routes());
  app.use(routes.routes());
  app.use(countOthers(guard, ({ path }) => !HOUSE_PATHS.test(path)));
  app.use(endOfTheRoad(contract, routes));
  return {
    handle: app.callback(),
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

function crossOrigin(origins: readonly string[]): Koa.Middleware {
  return cors({
    origin: (ctx) => ctx.get('Origin'),
    credentials: (ctx) => trustOf(ctx, origins) !== 'foreign',
    exposeHeaders: READABLE,
    maxAge: 600,
    keepHeadersOnError: false,
  });
}
