import test from 'ava';
import { ContainerUsage } from './usage.ts';

test('Cached files are not counted as memory that a program needs', (t) => {
  const usage = new ContainerUsage();
  const stats = { total_inactive_file: 60, total_active_file: 20 };
  const answer = {
    memory_stats: { usage: 100, max_usage: 100, stats },
    cpu_stats: { cpu_usage: { total_usage: 2e9 } },
  };
  usage.add(answer, 0);
  t.deepEqual(usage.figures, { peakMemoryBytes: 40, cpuSeconds: 2 });
  t.is(usage.countedBytes, 100);
});

test('The kernel tells a peak that no sample saw', (t) => {
  const usage = new ContainerUsage();
  usage.add({ memory_stats: { usage: 10, max_usage: 500, stats: {} } }, 0);
  t.is(usage.figures.peakMemoryBytes, 500);
});

test('A container that has ended takes nothing away from the figures', (t) => {
  const usage = new ContainerUsage();
  t.deepEqual(usage.figures, {});
  usage.add({ memory_stats: { usage: 10, stats: { inactive_file: 3 } } }, 0);
  usage.add({ memory_stats: {}, cpu_stats: { cpu_usage: { total_usage: 0 } } }, 0);
  usage.add('nonsense', 0);
  t.is(usage.figures.peakMemoryBytes, 7);
});

test('Whether a limit may have been reached is told by what was seen last, and how long ago', (t) => {
  const usage = new ContainerUsage();
  t.true(usage.mayHaveReached(1e12, 0), 'nothing was seen');
  usage.add({ memory_stats: { usage: 1e9 } }, 1000);
  t.false(usage.mayHaveReached(4e9, 1500));
  t.true(usage.mayHaveReached(4e9, 2000));
  usage.add({ memory_stats: { usage: 1e9, max_usage: 5e9 } }, 2000);
  t.true(usage.mayHaveReached(4e9, 2000), 'it had been there');
});
