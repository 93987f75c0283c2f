import { randomUUID } from 'node:crypto';
import { computeClient } from '@morpheo/client';
import { eventually, readFigures } from '@morpheo/service/testing';
import test from 'ava';
import { COMPUTE_DEFAULTS } from '../config.ts';
import { ADMIN, openTestService } from '../testing/open-test-service.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { TestWorker } from '../testing/test-worker.ts';

const clientOf = ({ url }: { url: string }) => computeClient({ url, credentials: ADMIN });

test('The queue is shown by kind and status, with the age of its oldest', async (t) => {
  await using service = await openTestService();
  const client = clientOf(service);
  for (let n = 0; n < 3; n++) await client.learn({ body: aLearnuplet() });
  await client.pred({ body: aPreduplet() });
  await eventually(t, async (t) => {
    const figures = await readFigures(service.url);
    t.is(figures.get('morpheo_compute_queue_orders{kind="learn",status="todo"}'), 3);
    t.is(figures.get('morpheo_compute_queue_orders{kind="predict",status="todo"}'), 1);
  });
  const figures = await readFigures(service.url);
  t.is(figures.get('morpheo_compute_queue_orders{kind="learn",status="pending"}'), 0);
  t.is(figures.get('morpheo_compute_orders_accepted_total{kind="learn"}'), 3);
  t.is(figures.get('morpheo_compute_workers_alive'), 0);
  t.is(figures.get('morpheo_compute_queue_paused'), 0);
  t.is(figures.get('morpheo_dependency_up{service="compute-api",dependency="database"}'), 1);
  t.is(figures.get('morpheo_dependency_up{service="compute-api",dependency="broker"}'), 1);
  await eventually(t, async (t) => {
    const age = (await readFigures(service.url)).get(
      'morpheo_compute_queue_oldest_seconds{kind="learn",status="todo"}',
    );
    t.true(age !== undefined && age > 1 && age < 60, String(age));
  });
});

test('What workers do with orders is counted', async (t) => {
  await using service = await openTestService();
  const client = clientOf(service);
  for (let n = 0; n < 3; n++) await client.learn({ body: aLearnuplet() });
  const worker = await TestWorker.register(client, randomUUID(), { learn: 2, predict: 1 });
  await worker.fail(await worker.mustClaim());
  await worker.finish(await worker.mustClaim());
  await worker.mustClaim();
  await eventually(t, async (t) => {
    const figures = await readFigures(service.url);
    t.is(figures.get('morpheo_compute_attempts_started_total{kind="learn"}'), 3);
    t.is(figures.get('morpheo_compute_orders_ended_total{kind="learn",outcome="failed"}'), 1);
    t.is(figures.get('morpheo_compute_order_failures_total{kind="learn",reason="exit_code"}'), 1);
    t.is(figures.get('morpheo_compute_order_duration_seconds_count{kind="learn",outcome="failed"}'), 1);
    t.is(figures.get('morpheo_compute_leases_held{kind="learn"}'), 1);
    t.is(figures.get('morpheo_compute_workers_alive'), 1);
    t.is(figures.get('morpheo_compute_worker_slots{kind="learn"}'), 2);
    // Storage is not there: a result waits to be published, and what a failed attempt staged to be dropped.
    t.is(figures.get('morpheo_compute_outbox_effects{lane="storage"}'), 2);
    t.is(figures.get('morpheo_compute_outbox_failing{lane="storage"}'), 2);
    t.true((figures.get('morpheo_compute_outbox_oldest_seconds{lane="storage"}') ?? 0) > 0);
  });
});

test('Orders of workers that were lost are counted', async (t) => {
  const settings = { ...COMPUTE_DEFAULTS, leaseMs: 50, everyMs: 10, attempts: 1 };
  await using service = await openTestService(true, { settings });
  const client = clientOf(service);
  await client.pred({ body: aPreduplet() });
  const worker = await TestWorker.register(client, randomUUID());
  await worker.mustClaim();
  await eventually(t, async (t) => {
    const figures = await readFigures(service.url);
    t.is(figures.get('morpheo_compute_reaper_takeovers_total'), 1);
    t.is(figures.get('morpheo_compute_attempts_lost_total{kind="predict"}'), 1);
    t.is(figures.get('morpheo_compute_order_failures_total{kind="predict",reason="worker_lost"}'), 1);
  });
});

test('No figure names an order, a worker or a thing', async (t) => {
  await using service = await openTestService();
  const client = clientOf(service);
  await client.learn({ body: aLearnuplet() });
  const worker = await TestWorker.register(client, randomUUID());
  await worker.fail(await worker.mustClaim());
  const names = [...(await readFigures(service.url)).keys()];
  t.deepEqual(
    names.filter((name) => /[0-9a-f]{8}-[0-9a-f]{4}-/.test(name)),
    [],
  );
});
