import test from 'ava';
import { createMetrics } from './index.ts';

test('Figures are shown in the text format with their help', async (t) => {
  const metrics = createMetrics();
  const made = metrics.counter({
    name: 'morpheo_things_total',
    help: 'Things that were made',
    labels: ['kind'],
  });
  made.add({ kind: 'big' });
  made.add({ kind: 'big' }, 2);
  metrics
    .histogram({ name: 'morpheo_thing_seconds', help: 'How long a thing takes', buckets: [1, 5] })
    .observe({}, 3);
  const text = await metrics.expose();
  t.regex(text, /^# HELP morpheo_things_total Things that were made$/m);
  t.regex(text, /^# TYPE morpheo_things_total counter$/m);
  t.regex(text, /^morpheo_things_total\{kind="big"\} 3$/m);
  t.regex(text, /^morpheo_thing_seconds_bucket\{le="5"\} 1$/m);
});

test('What took less than no time, by a clock that was set back, took none', async (t) => {
  const metrics = createMetrics();
  const seconds = metrics.histogram({ name: 'morpheo_thing_seconds', help: 'x', buckets: [1] });
  seconds.observe({}, 2);
  seconds.observe({}, -7187);
  const text = await metrics.expose();
  t.regex(text, /^morpheo_thing_seconds_sum 2$/m);
  t.regex(text, /^morpheo_thing_seconds_count 2$/m);
});

test('A gauge that nobody has set is not shown', async (t) => {
  const metrics = createMetrics();
  const plain = metrics.gauge({ name: 'morpheo_level', help: 'x' });
  const labelled = metrics.gauge({ name: 'morpheo_depth', help: 'x', labels: ['kind'] });
  t.notRegex(await metrics.expose(), /^morpheo_/m);
  plain.set({}, 4);
  labelled.set({ kind: 'a' }, 5);
  t.regex(await metrics.expose(), /^morpheo_level 4$[\s\S]*^morpheo_depth\{kind="a"\} 5$/m);
  plain.clear();
  labelled.clear();
  t.notRegex(await metrics.expose(), /^morpheo_/m);
});

test('Figures are asked for once however many scrape', async (t) => {
  const metrics = createMetrics();
  let asked = 0;
  const refresh = async () => {
    asked += 1;
    await new Promise(setImmediate);
  };
  metrics.onScrape({ everyMs: 60_000, refresh });
  await Promise.all([metrics.expose(), metrics.expose(), metrics.expose()]);
  await metrics.expose();
  t.is(asked, 1);
});

test('Figures that cannot be had are not shown', async (t) => {
  const metrics = createMetrics();
  const level = metrics.gauge({ name: 'morpheo_level', help: 'x' });
  const database = { state: 'there' };
  const refresh = async () => {
    if (database.state === 'away') throw new Error('the database is away');
    level.set({}, 1);
  };
  metrics.onScrape({ everyMs: 0, refresh, stale: [level] });
  t.regex(await metrics.expose(), /^morpheo_level 1$/m);
  database.state = 'away';
  t.notRegex(await metrics.expose(), /^morpheo_level/m);
});

test('A part that hangs does not hang the scrape', async (t) => {
  const metrics = createMetrics();
  const level = metrics.gauge({ name: 'morpheo_level', help: 'x' });
  level.set({}, 1);
  let asked = 0;
  const refresh = async () => {
    asked += 1;
    await new Promise<void>(() => {});
  };
  metrics.onScrape({ everyMs: 0, refresh, stale: [level] });
  await Promise.all([metrics.expose(), metrics.expose()]);
  t.notRegex(await metrics.expose(), /^morpheo_level/m);
  t.is(asked, 1);
});
