import type Router from '@koa/router';
import { type Contract, PlatformError } from '@morpheo/common';
import type { Middleware } from 'koa';
import { answer, type Context, type State } from '../answers/context.ts';
import { NoRoute } from '../answers/problem.ts';
import { refuseUnknownPath } from '../routes/parse-input.ts';

/**
 * What no route took: a known path with a slash too many is sent to the path without it (301 for GET and HEAD, 307
 * otherwise, as the originals do); a wrong method is 405 under `/v1` and, as in the originals, 404 elsewhere; the rest
 * is 404. Throws `not_found` and `method_not_allowed`.
 */
export function fallback(contract: Contract, routes: Router<State>): Middleware<State> {
  return async (ctx) => {
    const bare = bareOf(ctx, contract, routes);
    if (bare !== undefined) {
      const status = ctx.method === 'GET' || ctx.method === 'HEAD' ? 301 : 307;
      return answer(ctx, { status, headers: { location: `${bare}${ctx.search}` }, body: '' });
    }
    const allowed = ctx.path.startsWith('/v1/') ? methodsOf(routes, ctx.path) : [];
    if (allowed.length === 0) throw new NoRoute(contract);
    ctx.res.setHeader('allow', allowed.join(', '));
    throw new PlatformError(
      'method_not_allowed',
      `${ctx.path} does not know ${ctx.method}: use ${allowed.join(' or ')}.`,
    );
  };
}

/** The path without its last slash where a route would take it; never one that a browser reads as another host. */
function bareOf(ctx: Context, contract: Contract, routes: Router<State>): string | undefined {
  const bare = ctx.path.slice(0, -1);
  if (!ctx.path.endsWith('/') || !/^\/[^/\\]/.test(bare)) return undefined;
  const [layer] = routes.match(bare, ctx.method).pathAndMethod;
  const endpoint = contract.endpoints[layer?.name ?? ''];
  if (layer === undefined || endpoint === undefined) return undefined;
  try {
    refuseUnknownPath(contract, endpoint, layer.params(bare, layer.captures(bare)));
    return bare;
  } catch {
    return undefined;
  }
}

function methodsOf(routes: Router<State>, path: string): string[] {
  return [...new Set(routes.match(path, '').path.flatMap(({ methods }) => methods))];
}
