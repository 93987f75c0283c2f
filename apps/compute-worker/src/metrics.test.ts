import { temporaryFolder } from '@morpheo/service/archive/testing';
import { createMetrics } from '@morpheo/service/metrics';
import { eventually, readFigures } from '@morpheo/service/testing';
import test from 'ava';
import { start } from './start.ts';
import { openTestWorker } from './testing/test-worker.ts';

const NOWHERE = 'http://127.0.0.1:9';

test('A worker with a port shows its figures there', async (t) => {
  await using folder = await temporaryFolder();
  const places = ['--data-dir', folder.path, '--compute', NOWHERE, '--storage', NOWHERE, '--port', '0'];
  const more = ['--runtime', 'process', '--learn-parallelism', '3', '--log-level', 'error'];
  await using service = await start([...places, ...more], {});
  const figures = await readFigures(String(service?.ready?.url));
  t.is(figures.get('morpheo_worker_slots{kind="learn"}'), 3);
  t.is(figures.get('morpheo_worker_attempts_running{kind="learn"}'), 0);
  t.is(figures.get('morpheo_worker_cache_bytes'), 0);
  t.is(figures.get('morpheo_worker_gpus'), 0);
  t.is(figures.get('morpheo_dependency_up{service="compute-worker",dependency="runtime"}'), 1);
  t.is(figures.get('morpheo_dependency_up{service="compute-worker",dependency="compute-api"}'), 0);
  t.true(figures.has('process_cpu_seconds_total'));
  await service?.drain();
});

test('Failures are counted by their reason, and steps by how long they took', async (t) => {
  const metrics = createMetrics();
  await using setup = await openTestWorker({ metrics, pollMs: 20, script: { train: { exit: 3 } } });
  const order = setup.learn();
  await eventually(t, (t) => t.is(order.reports.length, 1));
  await eventually(t, async (t) => {
    const text = await metrics.expose();
    t.regex(text, /^morpheo_worker_attempts_total\{kind="learn",outcome="failed"\} 1$/m);
    t.regex(text, /^morpheo_worker_failures_total\{kind="learn",reason="exit_code"\} 1$/m);
    t.regex(text, /^morpheo_worker_step_duration_seconds_count\{kind="learn",step="train",cached="no"\} 1$/m);
    t.regex(text, /^morpheo_worker_attempts_running\{kind="learn"\} 0$/m);
    t.regex(text, /^morpheo_worker_input_bytes_total\{from="storage"\} [1-9]/m);
  });
});
