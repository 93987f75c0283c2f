import Router from '@koa/router';
import { type Contract, serviceContract } from '@morpheo/common';
import type { Metrics } from '../../metrics/index.ts';
import { answer, type Context, type State } from '../answers/context.ts';
import { CLASSIC_JSON } from '../answers/problem.ts';
import { docsRoutes } from '../documents/docs.ts';
import { type ApiInfo, openApiDocument } from '../documents/openapi.ts';
import type { OpenApiVersion } from '../documents/openapi-content.ts';
import type { Descriptors } from '../server/descriptors.ts';
import { type Check, readinessOf, type Warn } from '../server/ready.ts';

/** What the routes of every service need. */
export interface SystemRoutes {
  readonly contract: Contract;
  readonly info: ApiInfo;
  readonly checks: Readonly<Record<string, Check>>;
  readonly warnings?: Readonly<Record<string, Warn>> | undefined;
  readonly metrics?: Metrics | undefined;
  readonly descriptors: Descriptors;
}

/** The keys of those routes. */
export const SYSTEM_ROUTES: ReadonlySet<string> = new Set(['health', 'ready', 'openapi', 'metrics', 'docs']);

/** The routes that every service has beside its own, open to anybody: they tell nothing of anybody's data. */
export function systemRoutes(parts: SystemRoutes): Router<State> {
  const { contract, info, checks, warnings, metrics, descriptors } = parts;
  const router = new Router<State>({ strict: true, sensitive: true });
  const { health, ready } = serviceContract.endpoints;
  router.get(health.path, (ctx) => {
    ctx.state.route = 'health';
    return answerText(ctx, 200, CLASSIC_JSON, '{"status":"ok"}');
  });
  router.get(ready.path, async (ctx) => {
    ctx.state.route = 'ready';
    const found = await readinessOf(checks, warnings, descriptors);
    if (found.status !== 'ok') ctx.res.setHeader('retry-after', '1');
    return answerText(ctx, found.status === 'ok' ? 200 : 503, 'application/json', JSON.stringify(found));
  });
  const documents: [string, OpenApiVersion][] = [['/openapi.json', '3.1.1']];
  if (contract.documents !== undefined) documents.push([contract.documents.openapi, '3.0.2']);
  for (const [path, version] of documents) {
    let document: string | undefined;
    router.get(path, (ctx) => {
      ctx.state.route = 'openapi';
      document ??= JSON.stringify(openApiDocument(contract, info, version));
      return answerText(ctx, 200, 'application/json', document);
    });
  }
  if (metrics !== undefined) {
    router.get('/metrics', async (ctx) => {
      ctx.state.route = 'metrics';
      return answerText(ctx, 200, metrics.contentType, await metrics.expose());
    });
  }
  docsRoutes(router, contract.title, contract.documents?.pages);
  return router;
}

function answerText(ctx: Context, status: number, type: string, body: string): Promise<void> {
  return answer(ctx, { status, headers: { 'content-type': type, 'cache-control': 'no-store' }, body });
}
