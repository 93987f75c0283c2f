import { setImmediate } from 'node:timers/promises';
import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { Secret } from '../config/index.ts';
import { credentials } from '../http/access/credentials.ts';
import { cheapHash } from '../http/testing/cheap-hash.ts';
import { openSmallService } from '../http/testing/small-service.ts';
import { basic } from '../http/testing/talk.ts';
import { memoryLog, silentLog } from '../log/index.ts';
import { eventually, openOtlpReceiver } from '../testing/index.ts';
import {
  concerns,
  currentTraceparent,
  inScope,
  openTracer,
  scopeFields,
  silentTracer,
  span,
  tellSpan,
  traceHeaders,
} from './index.ts';

const ORDER = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const WHO = { service: 'small', version: '1.2.3', log: silentLog };

test('Spans inside one another are sent as a tree', async (t) => {
  await using receiver = await openOtlpReceiver();
  const tracer = await openTracer({
    ...WHO,
    endpoint: `${receiver.url}/`,
    headers: { authorization: 'Bearer secret' },
  });
  await inScope({ tracer, traceparent: PARENT, order: ORDER, attempt: 3 }, async () => {
    await span('outer', { n: 1 }, async (outer) => {
      await setImmediate();
      await span('inner', {}, async () => undefined);
      outer.set({ cached: true });
    });
  });
  await tracer[Symbol.asyncDispose]();
  const [inner, outer] = receiver.spans;
  t.like(outer, { service: 'small', name: 'outer', parent: 'b7ad6b7169203331', failed: false });
  t.deepEqual(outer?.attributes, { n: 1, cached: true, 'morpheo.order': ORDER, 'morpheo.attempt': 3 });
  t.like(inner, { name: 'inner', parent: outer?.id, trace: '0af7651916cd43dd8448eb211c80319c' });
  t.is(receiver.headers[0]?.authorization, 'Bearer secret');
});

test('Traces are sent with the credentials as they are at the time', async (t) => {
  await using receiver = await openOtlpReceiver();
  const parse = (authorization: string) => ({ authorization });
  const headers = new Secret(parse('old'), { setting: '--otlp-headers-file', path: '/headers', parse });
  const tracer = await openTracer({ ...WHO, endpoint: receiver.url, headers });
  await inScope({ tracer }, () => span('one', {}, async () => undefined));
  await eventually(t, (t) => t.is(receiver.headers.at(-1)?.authorization, 'old'));
  await headers.renew('new');
  await inScope({ tracer }, () => span('two', {}, async () => undefined));
  await tracer[Symbol.asyncDispose]();
  t.is(receiver.headers.at(-1)?.authorization, 'new');
});

test('A span that fails tells the kind of error and not its words', async (t) => {
  await using receiver = await openOtlpReceiver();
  const tracer = await openTracer({ ...WHO, endpoint: receiver.url });
  const work = async () => {
    throw new PlatformError('unavailable', 'hunter2 is not the password');
  };
  await t.throwsAsync(
    inScope({ tracer }, () => span('fails', {}, work)),
    { code: 'unavailable' },
  );
  await tracer[Symbol.asyncDispose]();
  t.like(receiver.spans[0], { failed: true, attributes: { 'error.type': 'unavailable' } });
  t.notRegex(receiver.text, /hunter2/);
});

test('Work that is over is told of with the time it took', async (t) => {
  await using receiver = await openOtlpReceiver();
  const tracer = await openTracer({ ...WHO, endpoint: receiver.url });
  inScope({ tracer }, () =>
    tellSpan('claim', { parent: PARENT, startedAt: Date.now() - 5000, order: ORDER }),
  );
  await tracer[Symbol.asyncDispose]();
  const [claim] = receiver.spans;
  t.like(claim, { name: 'claim', parent: 'b7ad6b7169203331', attributes: { 'morpheo.order': ORDER } });
  t.true((claim?.seconds ?? 0) >= 4.9);
});

test('Of traces that begin here, none is sent where none is asked for', async (t) => {
  await using receiver = await openOtlpReceiver();
  const tracer = await openTracer({ ...WHO, endpoint: receiver.url, ratio: 0 });
  await inScope({ tracer }, () => span('ours', {}, async () => undefined));
  await inScope({ tracer, traceparent: PARENT }, () => span('theirs', {}, async () => undefined));
  await tracer[Symbol.asyncDispose]();
  t.deepEqual(
    receiver.spans.map(({ name }) => name),
    ['theirs'],
  );
});

test('A receiver that is away costs one line of the log', async (t) => {
  const log = memoryLog();
  const away = await openOtlpReceiver();
  await away[Symbol.asyncDispose]();
  const tracer = await openTracer({ ...WHO, endpoint: away.url, log });
  const many = async () => {
    for (let n = 0; n < 5000; n++) await span('lost', {}, async () => undefined);
  };
  await inScope({ tracer, order: ORDER }, many);
  await tracer[Symbol.asyncDispose]();
  await inScope({ tracer, order: ORDER }, many);
  await eventually(t, (t) => t.is(log.entries.length, 1));
  t.like(log.entries[0], { level: 'warn', endpoint: away.url });
  t.is(log.entries[0]?.order, undefined);
});

test('Without a tracer a span is its work and nothing else', async (t) => {
  const seen = await inScope({ tracer: silentTracer, traceparent: PARENT }, () =>
    span('none', {}, async () => ({ parent: currentTraceparent(), fields: scopeFields() })),
  );
  t.deepEqual(seen, { parent: PARENT, fields: {} });
  t.is(await span('outside', {}, async () => 7), 7);
  t.deepEqual(traceHeaders(), {});
});

test('What a scope is for may be found out in its middle', async (t) => {
  await inScope({ tracer: silentTracer, traceparent: PARENT }, async () => {
    await span('place', {}, async () => concerns(ORDER, 1));
    const baggage = `morpheo.order=${ORDER},morpheo.attempt=1`;
    t.deepEqual(traceHeaders(), { traceparent: PARENT, baggage });
  });
});

const ROLES_OF_TESTS = ['admin', 'worker', 'orchestrator', 'uploader', 'reader'] as const;
const byRole = credentials(
  ROLES_OF_TESTS.map((role) => ({ name: role, roles: [role], secretHash: cheapHash('s') })),
);

test('A request goes on with the trace and the order of the service that makes it', async (t) => {
  await using receiver = await openOtlpReceiver();
  const tracer = await openTracer({ ...WHO, endpoint: receiver.url });
  await using service = await openSmallService({ tracer, authenticate: byRole });
  const headers = {
    ...basic('admin', 's'),
    traceparent: PARENT,
    baggage: `morpheo.order=${ORDER},morpheo.attempt=2`,
  };
  for (const path of ['/data/a?token=hunter2', '/health', '/nothing/at/all'])
    await (await fetch(service.url + path, { headers })).text();
  const [line] = service.log.entries.filter((entry) => entry.path === '/data/a');
  t.like(line, { order: ORDER, attempt: 2, trace: '0af7651916cd43dd8448eb211c80319c' });
  await tracer[Symbol.asyncDispose]();
  t.deepEqual(
    receiver.spans.map(({ name, parent }) => [name, parent]),
    [
      ['GET /:type/:id', 'b7ad6b7169203331'],
      ['GET', 'b7ad6b7169203331'],
    ],
  );
  t.like(receiver.spans[0]?.attributes, {
    'http.route': '/:type/:id',
    'http.response.status_code': 200,
    'morpheo.order': ORDER,
  });
  t.notRegex(receiver.text, /hunter2/);
});

test('What strangers and users say in their baggage enters no log and no call', async (t) => {
  const called: unknown[] = [];
  const blob = async () => {
    called.push(traceHeaders());
    return { status: 200, headers: { 'content-length': '0' } };
  };
  await using open = await openSmallService({ api: { blob } });
  await using service = await openSmallService({ api: { blob }, authenticate: byRole });
  const baggage = `morpheo.order=${ORDER},morpheo.attempt=2,other=thing`;
  await (await fetch(`${open.url}/data/a`, { headers: { baggage } })).text();
  await (await fetch(`${service.url}/data/a`, { headers: { baggage } })).text();
  await (await fetch(`${service.url}/health`, { headers: { baggage } })).text();
  await (await fetch(`${service.url}/data/a`, { headers: { ...basic('reader', 's'), baggage } })).text();
  t.deepEqual(called, [{}, {}]);
  t.notRegex(JSON.stringify([open.log.entries, service.log.entries]), new RegExp(ORDER));
  await (await fetch(`${service.url}/data/a`, { headers: { ...basic('admin', 's'), baggage } })).text();
  t.deepEqual(called.at(-1), { baggage: `morpheo.order=${ORDER},morpheo.attempt=2` });
});
