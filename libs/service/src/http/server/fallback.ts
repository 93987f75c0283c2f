import type Router from '@koa/router';
import { type Contract, PlatformError } from '@morpheo/common';
import type { Middleware } from 'koa';
import { answer, type Context, type State } from '../answers/context.ts';
import { isOfOriginals, NoRoute } from '../answers/problem.ts';
import { isPathOf } from '../routes/parse-input.ts';

/** What might have answered. */
export interface Routes {
  readonly contract: Contract;
  /** Those of the contract. */
  readonly routes: Router<State>;
  /** Those that every service has. */
  readonly system: Router<State>;
}

/**
 * What no route took: a known path with a slash too many is sent to the path without it (301 for GET and HEAD, 307
 * otherwise, as the originals do). A wrong method is 404 on paths of the originals, as most of them answer, and 405 on all
 * others, with an `Allow` of the methods that have a route there. The rest is 404. Throws `not_found` and
 * `method_not_allowed`.
 */
export function fallback({ contract, routes, system }: Routes): Middleware<State> {
  return async (ctx) => {
    const bare = bareOf(ctx, contract, routes);
    if (bare !== undefined) {
      const status = ctx.method === 'GET' || ctx.method === 'HEAD' ? 301 : 307;
      return answer(ctx, { status, headers: { location: `${bare}${ctx.search}` }, body: '' });
    }
    const classic = isOfOriginals(ctx.path);
    const allowed =
      classic && contract.errorPages !== true ? [] : methodsOf(ctx.path, { contract, routes, system });
    if (allowed.length === 0) throw new NoRoute(contract, classic);
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
  const takes = routes.match(bare, ctx.method).pathAndMethod.some((layer) => fits(layer, bare, contract));
  return takes ? bare : undefined;
}

function methodsOf(path: string, { contract, routes, system }: Routes): string[] {
  const own = routes.match(path, '').path.filter((layer) => fits(layer, path, contract));
  const layers = [...system.match(path, '').path, ...own];
  return [...new Set(layers.flatMap(({ methods }) => methods))];
}

/** What of a route decides whether a path is one of its own. */
type Layer = Pick<Router<State>['stack'][number], 'name' | 'params' | 'captures'>;

function fits(layer: Layer, path: string, { endpoints }: Contract): boolean {
  const endpoint = endpoints[layer.name ?? ''];
  return endpoint !== undefined && isPathOf(endpoint, layer.params(path, layer.captures(path)));
}
