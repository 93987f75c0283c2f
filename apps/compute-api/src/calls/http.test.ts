import { computeClient } from '@morpheo/client';
import { memoryLog } from '@morpheo/service/log';
import { createMetrics } from '@morpheo/service/metrics';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { CallWorker, type CallWorkerOptions, echo } from '../testing/call-worker.ts';
import { ADMIN, openTestService } from '../testing/open-test-service.ts';

const IMAGE = `registry.example/tool:1@sha256:${'0123456789abcdef'.repeat(4)}`;
/** What nobody but the caller and its program may see, as text and as base64. */
const SECRETS = ['the input itself', 'what it said', 'where it broke', 'what it printed'] as const;
const [INPUT, SAID, BROKE, PRINTED] = SECRETS;
const inline = Buffer.from(INPUT).toString('base64');
const BODY = { image: IMAGE, inputs: [{ path: '/in/text', inline }] };

/** A service with a worker, what it logs and measures, and how a call is posted. */
async function open(worker: CallWorkerOptions = {}) {
  await using stack = new AsyncDisposableStack();
  const log = memoryLog();
  const metrics = createMetrics();
  const service = stack.use(await openTestService(false, { log, metrics }));
  const api = computeClient({ url: service.url, credentials: ADMIN });
  const asking = stack.use(await CallWorker.start(api, worker));
  const authorization = `Basic ${btoa(`${ADMIN.name}:${ADMIN.secret}`)}`;
  const post = async (headers: Record<string, string> = {}, body: object = BODY) => {
    const answer = await fetch(`${service.url}/v1/calls`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return { status: answer.status, headers: answer.headers, body: await answer.json() };
  };
  const opened = stack.move();
  return {
    ...{ service, log, metrics, worker: asking, post },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

test('A call is 200 with its outputs, and 202 with the place of an order where that is preferred', async (t) => {
  await using opened = await open();
  const { post } = opened;
  const answer = await post();
  t.like(answer, { status: 200, body: { outputs: [{ name: 'answer', data: inline }], reused: 0 } });
  t.is(answer.headers.get('location'), null);
  const deferred = await post({ prefer: 'respond-async' });
  t.is(deferred.status, 202);
  t.is(deferred.headers.get('location'), `/v1/orders/${deferred.body.uuid}`);
  t.is(deferred.headers.get('preference-applied'), 'respond-async');
  t.is((await post({}, { ...BODY, image: undefined })).status, 400);
  t.is((await post({}, { ...BODY, inputs: [{ path: '/tmp/a', inline }] })).status, 400);
});

test('Nothing that goes into a call or comes out of it is in the log, whatever it comes to', async (t) => {
  const ends = [
    undefined,
    { outcome: 'failed', message: SAID, traceback: BROKE, log: PRINTED },
    { outcome: 'ended', message: SAID, log: PRINTED },
    { outcome: 'timed_out', phase: 'running', log: PRINTED },
  ] as const;
  let n = 0;
  await using opened = await open({
    answer: (call) => {
      const end = ends[n++];
      return end === undefined ? echo(call) : { call: call.call, ...end };
    },
  });
  const { post, log, metrics } = opened;
  const answers = [await post(), await post(), await post(), await post()];
  t.deepEqual(
    answers.map(({ status }) => status),
    [200, 422, 503, 504],
  );
  t.like(answers[1]?.body, { code: 'call_failed', detail: SAID, traceback: BROKE, log: PRINTED });
  await eventually(t, (t) => t.is(log.entries.filter(({ route }) => route === 'postCall').length, 4));
  const logged = JSON.stringify(log.entries);
  for (const secret of [...SECRETS, inline]) t.false(logged.includes(secret), secret);
  const figures = await metrics.expose();
  for (const outcome of ['done', 'call_failed', 'unavailable', 'deadline_passed'])
    t.regex(figures, new RegExp(`morpheo_compute_calls_total\\{outcome="${outcome}"\\} 1\\n`));
  t.regex(figures, /morpheo_compute_call_duration_seconds_count 4\n/);
  t.regex(figures, /morpheo_compute_calls_open\{state="waiting"\} 0\n/);
});

test('A service that stops ends its calls at once, and lets go of its workers', async (t) => {
  await using opened = await open({ answer: () => undefined });
  const { service, post, worker } = opened;
  const answer = post();
  await eventually(t, (t) => t.is(worker.given.length, 1));
  const from = performance.now();
  await service[Symbol.asyncDispose]();
  t.like(await answer, { status: 503, body: { code: 'unavailable' } });
  // Whoever waits for the workers' exchanges waits for the ten seconds that requests have to end.
  t.true(performance.now() - from < 9000);
});
