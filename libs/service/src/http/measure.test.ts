import test from 'ava';
import { Counter, createMetrics } from './metrics.ts';
import { openSmallService } from './testing/small-service.ts';

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
  new Counter({ name: 'orders_total', help: 'x', registers: [metrics] }).inc(3);
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
