import { randomUUID } from 'node:crypto';
import { type Contract, isPlatformError, type PlatformError, toPlatformError } from '@morpheo/common';
import type { Middleware } from 'koa';
import type { Log } from '../log/index.ts';
import type { Measure } from './metrics.ts';
import { problemAnswer } from './problem.ts';
import { answer, type Context, type State } from './state.ts';

/** What lies around every request. */
export interface Outermost {
  readonly contract: Contract;
  readonly log: Log;
  readonly measure: Measure;
}

/**
 * Around every request: its id, the headers that keep a browser from guessing, the answer to whatever is thrown, one
 * line in the log and one measurement.
 */
export function outermost({ contract, log, measure }: Outermost): Middleware<State> {
  return async (ctx, next) => {
    const started = performance.now();
    ctx.state.requestId = requestIdOf(ctx);
    guard(ctx);
    let error: PlatformError | undefined;
    try {
      await next();
    } catch (thrown) {
      error = toPlatformError(reasonOf(thrown));
      await tell(ctx, error, contract);
    }
    const ms = performance.now() - started;
    note(log, ctx, ms, error);
    measure(ctx.state.route ?? 'none', ctx.res.statusCode, ms / 1000);
  };
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
  await answer(ctx, problemAnswer(error, { contract, endpoint, requestId, accept: ctx.req.headers.accept }));
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
  else if (error.code === 'cancelled') log.debug({ ...fields, why: error.message }, 'The client gave up');
  else if (error.code === 'internal') log.error({ ...fields, error }, 'Failed to answer');
  else if (error.status >= 500) log.warn({ ...fields, error }, 'Could not answer');
  else log.info({ ...fields, code: error.code, why: error.message }, 'Refused');
}
