import { readFile } from 'node:fs/promises';
import { getAsset, isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import type Router from '@koa/router';
import { PlatformError } from '@morpheo/common';
import { answer, type Context, type State } from '../answers/context.ts';

/** The files of Swagger UI that the page loads, with their types. */
const FILES: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

/** Scripts of this service alone, none inline; Swagger UI sets styles inline, and draws with `data:` images. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const START = `window.addEventListener('load', () => {
  const url = new URL('openapi.json', location.href).href;
  window.SwaggerUIBundle({ url, dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null });
});
`;

/** Adds `/docs`: a page to read the API and to try it, which loads nothing from elsewhere; at the `other` paths, too. */
export function docsRoutes(router: Router<State>, title: string, other: readonly string[] = []): void {
  for (const path of ['/docs', ...other]) {
    router.get(path, (ctx) => {
      ctx.state.route = 'docs';
      return answerFile(ctx, 'text/html; charset=utf-8', page(title));
    });
  }
  router.get('/docs/start.js', (ctx) => {
    ctx.state.route = 'docs';
    return answerFile(ctx, 'text/javascript; charset=utf-8', START);
  });
  for (const [file, type] of Object.entries(FILES)) {
    router.get(`/docs/${file}`, async (ctx) => {
      ctx.state.route = 'docs';
      return answerFile(ctx, type, await readPackaged(file));
    });
  }
}

/** A file of Swagger UI: from its package, or from within where the program is an executable of one file. */
async function readPackaged(file: string): Promise<Buffer> {
  const name = `swagger-ui-dist/${file}`;
  try {
    if (isSea()) return Buffer.from(getAsset(name));
    return await readFile(fileURLToPath(import.meta.resolve(name)));
  } catch (cause) {
    throw new PlatformError('not_found', 'This build has no page to read the API: see /openapi.json.', {
      cause,
    });
  }
}

function answerFile(ctx: Context, type: string, body: string | Buffer): Promise<void> {
  ctx.res.setHeader('content-security-policy', POLICY);
  return answer(ctx, {
    status: 200,
    headers: { 'content-type': type, 'cache-control': 'max-age=300' },
    body,
  });
}

/** Paths are relative, so that the page works behind a proxy that adds a prefix. */
function page(title: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title.replaceAll(/[<>&]/g, ' ')}</title>
    <link rel="icon" href="docs/favicon-32x32.png">
    <link rel="stylesheet" href="docs/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/start.js"></script>
  </body>
</html>
`;
}
