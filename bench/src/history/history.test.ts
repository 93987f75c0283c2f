import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Report } from '../bench.ts';
import { drawHistory } from './chart.ts';
import { addToHistory, occasionOf, readHistory } from './history.ts';

const REPORT: Report = {
  name: 'orders-accepted',
  title: 'orders',
  rows: [
    { callers: '1', route: 'bare koa', 'orders/s': 14_110, ratio: 1 },
    { callers: '1', route: 'compute-api', 'orders/s': 582, ratio: 0.04 },
  ],
  aims: [{ what: 'share of the bare route', measured: 0.15, least: 0.5 }],
  notes: [],
  bars: [],
};
const OCCASION = {
  at: '2026-11-22T10:00:00.000Z',
  commit: '0123456789ab',
  machine: '2 x a processor',
  size: 'full',
} as const;

test('What a run has found is read again from the history as it was added, with every figure of its table', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'history-'));
  const file = join(folder.path, 'history.jsonl');
  t.deepEqual(await readHistory(file), []);
  await addToHistory(file, OCCASION, [REPORT]);
  await addToHistory(file, { ...OCCASION, commit: '23456789abcd' }, [REPORT, REPORT]);
  const history = await readHistory(file);
  t.is(history.length, 3);
  t.deepEqual(history[0], {
    ...OCCASION,
    bench: 'orders-accepted',
    aims: [{ what: 'share of the bare route', measured: 0.15, least: 0.5 }],
    figures: {
      '1, bare koa, orders/s': 14_110,
      '1, bare koa, ratio': 1,
      '1, compute-api, orders/s': 582,
      '1, compute-api, ratio': 0.04,
    },
  });
});

test('A line that is no entry of a history is named by its number', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'history-'));
  const file = join(folder.path, 'history.jsonl');
  await addToHistory(file, OCCASION, [REPORT]);
  await writeFile(file, '{"at":"yesterday"}\n', { flag: 'a' });
  await t.throwsAsync(readHistory(file), { message: /Line 2 of .*history\.jsonl/ });
});

test('The commit and the machine are those of the checkout that runs', async (t) => {
  const { commit, machine, size } = await occasionOf('quick');
  t.regex(commit, /^[0-9a-f]{12}\+?$/);
  t.true(machine.includes(`Node ${process.versions.node}`));
  t.is(size, 'quick');
});

test('The picture has a panel for each aim, with the runs of the last machine and size alone', (t) => {
  const entry = { ...OCCASION, bench: 'orders-accepted', figures: {} };
  const aims = (measured: number) => [{ what: 'share <of> the bare route', measured, least: 0.5 }];
  const picture = drawHistory([
    { ...entry, machine: 'another', aims: aims(0.9) },
    { ...entry, aims: aims(0.15) },
    { ...entry, commit: 'fedcba987654', aims: [...aims(0.6), { what: 'p50 ms', measured: 2, most: 1 }] },
  ]);
  t.is(picture.match(/<circle /g)?.length, 3);
  t.is(picture.match(/font-weight="bold"/g)?.length, 2);
  t.true(picture.includes('share &lt;of> the bare route'));
  t.true(picture.includes('fedcba98'));
  t.false(picture.includes('another'));
});
