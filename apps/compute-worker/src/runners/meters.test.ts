import { createMetrics } from '@morpheo/service/metrics';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { RunnerBroken } from './errors.ts';
import { createRunnerMeters, runnersWarning, watchRunners } from './meters.ts';
import { openRunnersFixture } from './testing.ts';

test('Runners are shown by state and calls by how they ended, and who runs the worker hears of those that do not start', async (t) => {
  const metrics = createMetrics();
  await using fixture = await openRunnersFixture({ most: 2 }, { meters: createRunnerMeters(metrics) });
  using _watching = watchRunners(metrics, fixture.runners);
  t.is(runnersWarning(fixture.runners), undefined);
  const plan = await fixture.plan();
  await fixture.call('', { plan });
  await t.throwsAsync(fixture.call('', { plan, signal: AbortSignal.abort(new Error('no')) }));
  const large = await fixture.plan({ limits: { memoryBytes: 1e15 } });
  await t.throwsAsync(fixture.call('', { plan: large }), { code: 'invalid_order' });
  const broken = await fixture.plan({ program: 'process.exit(2)' });
  await t.throwsAsync(fixture.call('', { plan: broken }), { instanceOf: RunnerBroken });
  await eventually(t, async (t) =>
    t.regex(await metrics.expose(), /^morpheo_worker_runners\{state="idle"\} 1$/m),
  );
  const text = await metrics.expose();
  t.regex(text, /^morpheo_worker_runners\{state="broken"\} 1$/m);
  for (const outcome of ['answered', 'cancelled', 'refused', 'broken'])
    t.regex(text, new RegExp(`^morpheo_worker_calls_total\\{outcome="${outcome}"\\} 1$`, 'm'));
  for (const phase of ['waited', 'started', 'ran'])
    t.regex(text, new RegExp(`^morpheo_worker_call_seconds_count\\{phase="${phase}"\\} 1$`, 'm'));
  t.is(runnersWarning(fixture.runners), 'no warm runner is started of obedient: it ended with exit code 2');
});
