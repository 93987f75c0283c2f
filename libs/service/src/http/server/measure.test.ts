import test from 'ava';
import { createMetrics } from '../../metrics/index.ts';
import { openSmallService } from '../testing/small-service.ts';

test('Requests are counted by route and status, not by path', async (t) => {
  const metrics = createMetrics();
  await using service = await openSmallService({ metrics });
  for (const path of ['/data/a', '/data/b', '/nothing/at/all'])
    await (await fetch(service.url + path)).text();
  const response = await fetch(`${service.url}/metrics`);
  t.regex(response.headers.get('content-type') ?? '', /^text\/plain; version=/);
  const text = await response.text();
  t.regex(text, /http_request_duration_seconds_count\{route="blob",status="200"\} 2/);
  t.regex(text, /http_request_duration_seconds_count\{route="none",status="404"\} 1/);
});

test('A service shows its own measurements, and those of no other', async (t) => {
  const metrics = createMetrics();
  metrics.counter({ name: 'orders_total', help: 'x' }).add({}, 3);
  await using first = await openSmallService({ metrics });
  await using second = await openSmallService({ metrics: createMetrics({ process: true }) });
  t.regex(await (await fetch(`${first.url}/metrics`)).text(), /orders_total 3/);
  const other = await (await fetch(`${second.url}/metrics`)).text();
  t.notRegex(other, /orders_total/);
  t.regex(other, /process_cpu_seconds_total/);
});

test('Without a registry there is no such route', async (t) => {
  await using service = await openSmallService();
  t.is((await fetch(`${service.url}/metrics`)).status, 404);
});

test('The bytes of requests and answers are counted by route', async (t) => {
  const metrics = createMetrics();
  await using service = await openSmallService({ metrics });
  const upload = async () =>
    await (await fetch(`${service.url}/data`, { method: 'POST', body: 'x'.repeat(10_000) })).text();
  await upload();
  await upload();
  const text = await (await fetch(`${service.url}/metrics`)).text();
  const received = Number(/^http_received_bytes_total\{route="upload"\} (\d+)$/m.exec(text)?.[1]);
  t.true(received > 20_000 && received < 22_000, String(received));
  t.regex(text, /^http_sent_bytes_total\{route="upload"\} [1-9]/m);
});

test('The parts that answer are shown, and those that do not', async (t) => {
  const checks = {
    database: async () => undefined,
    broker: () => Promise.reject(new Error('nobody answers')),
  };
  await using service = await openSmallService({ metrics: createMetrics(), checks });
  const text = await (await fetch(`${service.url}/metrics`)).text();
  t.regex(text, /^morpheo_dependency_up\{service="small",dependency="database"\} 1$/m);
  t.regex(text, /^morpheo_dependency_up\{service="small",dependency="broker"\} 0$/m);
  t.regex(text, /^morpheo_build_info\{service="small",version="1\.2\.3"\} 1$/m);
});
