import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import Koa from 'koa';
import { serve } from '../process/serve.ts';

// The least that takes an order: it parses the body, answers 202, and keeps nothing.
await serve(async () => {
  const app = new Koa();
  app.use(async (ctx) => {
    const order: unknown = JSON.parse(await text(ctx.req));
    ctx.status = typeof order === 'object' ? 202 : 400;
    ctx.body = { message: 'Learn-uplet ingested accordingly' };
  });
  const server = createServer(app.callback());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
});
