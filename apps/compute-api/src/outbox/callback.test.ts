import { once } from 'node:events';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openTestCompute } from '../testing/open-test-compute.ts';
import { aJob } from '../testing/orders.ts';
import { isAllowed } from './callback.ts';

/** A server that hears of ends, and answers with these codes, the last of them from then on. */
async function listener(...codes: number[]) {
  const heard: unknown[] = [];
  const server = createServer(async (request, response) => {
    heard.push(await json(request));
    const code = codes.length > 1 ? codes.shift() : codes[0];
    response.writeHead(code ?? 200, { location: 'http://127.0.0.1:1/' }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    ...{ heard, url: `http://127.0.0.1:${port}/jobs/` },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

test('A callback lies at or below a prefix, on the same host, and is spelt as it likes', (t) => {
  const prefixes = ['https://hooks.example/jobs/', 'http://127.0.0.1:8080'];
  for (const good of [
    'https://hooks.example/jobs/a?b=c',
    'https://HOOKS.example:443/jobs',
    'http://127.0.0.1:8080/x',
    'https://hooks.example/other/../jobs/a',
  ])
    t.true(isAllowed(good, prefixes), good);
  for (const bad of [
    'http://hooks.example/jobs/a',
    'https://hooks.example/jobsandmore',
    'https://hooks.example/jobs/../a',
    'https://hooks.example/jobs/%2e%2e/a',
    'https://hooks.example/jobs/..%2Fa',
    'https://hooks.example/jobs/..%5ca',
    'https://hooks.example:444/jobs/a',
    'https://hooks.example.evil.example/jobs/a',
    'http://127.0.0.1:8081/x',
  ])
    t.false(isAllowed(bad, prefixes), bad);
});

test('A callback is told of the end once it takes it, and of the next end after a retry', async (t) => {
  await using hook = await listener(503, 200);
  await using compute = await openTestCompute({ callbacks: [hook.url] });
  const { api } = compute;
  const worker = await compute.worker({ learn: 0, predict: 0, job: 1 }, 0, 1, { runtime: 'docker' });
  const job = aJob({ callback: `${hook.url}ended`, labels: { run: '7' } });
  const { output } = await api.postJob({ body: job });
  await worker.fail(await worker.mustClaim(0, ['job']));
  const failure = { reason: 'exit_code', message: 'It exited with 1.', exit_code: 1 };
  const failed = { uuid: job.uuid, status: 'failed', failure, labels: { run: '7' } };
  await eventually(t, (t) => t.deepEqual(hook.heard, [failed, failed]));
  await api.retryOrder({ params: { id: job.uuid } });
  await worker.finish(await worker.mustClaim(0, ['job']));
  const done = { uuid: job.uuid, status: 'done', output, labels: { run: '7' } };
  await eventually(t, (t) => t.deepEqual(hook.heard.slice(2), [done]));
  await eventually(t, async (t) => {
    const events = await Array.fromAsync(await api.orderEvents({ params: { id: job.uuid }, headers: {} }));
    const told = events.filter(({ event }) => event === 'told').map(({ data }) => data.details);
    t.deepEqual(told, [{ what: 'tell_callback' }, { what: 'tell_callback' }]);
  });
});

test('What a callback refuses, or leads elsewhere, is noted and not tried again', async (t) => {
  for (const code of [404, 302]) {
    await using hook = await listener(code);
    await using compute = await openTestCompute({ callbacks: [hook.url] });
    const job = aJob({ callback: hook.url });
    await compute.api.postJob({ body: job });
    await compute.api.cancelOrder({ params: { id: job.uuid } });
    await eventually(t, async (t) => {
      t.deepEqual(await compute.database.read.selectFrom('outbox').selectAll().execute(), []);
    });
    t.is(hook.heard.length, 1);
    const events = await Array.fromAsync(
      await compute.api.orderEvents({ params: { id: job.uuid }, headers: {} }),
    );
    t.like(events.at(-1)?.data.details, { answer: `The callback answered ${code}, not with any 2xx.` });
  }
});

test('A callback beyond what the operator allows is refused, and what is allowed is told', async (t) => {
  await using compute = await openTestCompute({ callbacks: ['https://hooks.example/'] });
  const body = aJob({ callback: 'https://other.example/' });
  const message = /callback should lie below one of https:\/\/hooks\.example\/, which the operator allows/;
  await t.throwsAsync(compute.api.postJob({ body }), { code: 'invalid_order', message });
});
