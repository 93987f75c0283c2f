import { randomUUID } from 'node:crypto';
import { type Contract, isPlatformError, type PlatformError, toPlatformError } from '@morpheo/common';
import type { Middleware } from 'koa';
import type { Log } from '../../log/index.ts';
import { inScope, type OpenSpan, readTraceparent, serverSpan, type Tracer } from '../../trace/index.ts';
import { answer, type Context, type State } from '../answers/context.ts';
import { problemAnswer } from '../answers/problem.ts';
import type { Measure } from './measure.ts';

/** What lies around every request. */
export interface Envelope {
  readonly contract: Contract;
  readonly log: Log;
  readonly measure: Measure;
  readonly tracer: Tracer;
  /** The routes that are no spans. */
  readonly untraced: ReadonlySet<string>;
}

/**
 * Around every request: its id, the trace that its caller has told of, the headers that keep a browser from guessing, the
 * answer to whatever is thrown, one line in the log, one measurement and one span.
 */
export function envelope({ contract, log, measure, tracer, untraced }: Envelope): Middleware<State> {
  return async (ctx, next) => {
    const started = performance.now();
    ctx.state.requestId = requestIdOf(ctx);
    guard(ctx);
    const { socket } = ctx.req;
    await inScope({ tracer, traceparent: readTraceparent(ctx.req.headers) }, async () => {
      let error: PlatformError | undefined;
      const span = await serverSpan(ctx.method, async () => {
        try {
          await next();
        } catch (thrown) {
          error = toPlatformError(reasonOf(thrown));
          await tell(ctx, error, contract);
        }
      });
      const ms = performance.now() - started;
      note(log, ctx, ms, error);
      const route = ctx.state.route ?? 'none';
      measure({ route, status: ctx.res.statusCode, seconds: ms / 1000, socket });
      if (!untraced.has(route)) endSpan(span, ctx, error);
    });
  };
}

/** Only what fails by our fault makes the span one that failed (OpenTelemetry, HTTP spans, "Status"). */
function endSpan(span: OpenSpan, ctx: Context, error: PlatformError | undefined): void {
  const { endpoint } = ctx.state;
  span.rename(endpoint === undefined ? ctx.method : `${ctx.method} ${endpoint.path}`);
  span.set({
    'http.request.method': ctx.method,
    'http.response.status_code': ctx.res.statusCode,
    ...(endpoint === undefined ? {} : { 'http.route': endpoint.path }),
    'morpheo.request': ctx.state.requestId,
  });
  span.end(error !== undefined && error.status >= 500 && !error.confidential ? error : undefined);
}

/** What Node throws where a signal aborted its work is an AbortError: the reason of the signal is its cause. */
function reasonOf(thrown: unknown): unknown {
  const aborted = thrown instanceof Error && thrown.name === 'AbortError';
  return aborted && isPlatformError(thrown.cause) ? thrown.cause : thrown;
}

function requestIdOf(ctx: Context): string {
  const given = ctx.req.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.-]{1,100}$/.test(given) ? given : randomUUID();
}

/** Bytes are other people's, and a browser that took them for a page would run them as ours. */
function guard({ res, state }: Context): void {
  res.setHeader('x-request-id', state.requestId);
  res.setHeader('x-content-type-options', 'nosniff');
  res.setHeader('content-security-policy', "default-src 'none'; frame-ancestors 'none'; sandbox");
  res.setHeader('referrer-policy', 'no-referrer');
}

async function tell(ctx: Context, error: PlatformError, contract: Contract): Promise<void> {
  if (ctx.res.headersSent) {
    // Half an answer is out: only a cut says that it is no whole one.
    ctx.respond = false;
    ctx.res.destroy();
    return;
  }
  const { requestId, endpoint } = ctx.state;
  const { url = '', headers } = ctx.req;
  // As it came: Koa throws where that is no path.
  const path = url.replace(/\?.*/s, '');
  await answer(ctx, problemAnswer(error, { contract, endpoint, requestId, path, accept: headers.accept }));
}

/** One line a request: what failed by our fault with its cause, what was refused with the reason. */
function note(log: Log, ctx: Context, ms: number, error: PlatformError | undefined): void {
  const fields = {
    request: ctx.state.requestId,
    method: ctx.method,
    path: ctx.path,
    route: ctx.state.route,
    status: error?.status ?? ctx.res.statusCode,
    ms: Math.round(ms * 10) / 10,
    caller: ctx.state.principal?.name,
  };
  if (error === undefined) log.debug(fields, 'Answered');
  else if (error.confidential)
    log.info({ ...fields, code: error.code }, 'Answered with an error of what it was asked to run');
  else if (error.code === 'cancelled') log.debug({ ...fields, why: error.message }, 'The client gave up');
  else if (error.code === 'internal') log.error({ ...fields, error }, 'Failed to answer');
  else if (error.status >= 500) log.warn({ ...fields, error }, 'Could not answer');
  else log.info({ ...fields, code: error.code, why: error.message }, 'Refused');
}
