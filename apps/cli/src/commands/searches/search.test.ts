import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Search, SearchEvent, SearchView, ServerEvent, TrialView } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { fakePlatform } from '../../testing/platform.ts';
import { IDS } from '../../testing/samples.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';

const ID = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
const BEST = { trial: 1, value: 0.875, resource: 3, parameters: { rate: 0.1 }, order: IDS.order };

/** A search of two trials, one of which has gone on to a second rung; `changes` make it another. */
function aSearch(changes: Partial<SearchView> = {}): SearchView {
  return {
    ...{
      uuid: ID,
      name: 'rates',
      owner: 'ann',
      group: `search-${ID}`,
      status: 'done',
      why: 'all 2 trials were made',
    },
    ...{ strategy: 'random', goal: 'maximize', trials: 2, orders: 4, ended: 4, best: BEST, seed: 7 },
    ...{ created_at: '2025-11-22T15:51:00.000Z', ended_at: '2025-11-22T15:53:05.000Z' },
    ...{ budget: { trials: 2 }, parallel: 2, used: 5, running: [] },
    rungs: [
      { arm: 'main', resource: 1, running: 0, done: 2, failed: 0, best: 0.5 },
      { arm: 'main', resource: 3, running: 0, done: 1, failed: 0, best: 0.875 },
      { arm: 'control', resource: 1, running: 0, done: 0, failed: 1 },
    ],
    control: { trials: 1, used: 1 },
    ...changes,
  };
}

function aResult(trial: number, result: number, rung: Partial<TrialView['rungs'][number]>): TrialView {
  return {
    ...{ trial, arm: 'main', parameters: { rate: 0.1 } },
    rungs: [{ resource: 1, order: IDS.order, result, ...rung }],
  };
}

const RUNNING = aSearch({
  ...{ status: 'running', why: undefined, ended_at: undefined, ended: 2, best: undefined },
  running: [{ trial: 1, arm: 'main', resource: 3, order: IDS.order, placed_at: '2025-11-22T15:52:00.000Z' }],
});
const EVENTS: readonly SearchEvent[] = [
  {
    search: RUNNING,
    results: [aResult(0, 1, { value: 0.5 }), aResult(1, 2, { failed: 'exit_code: 1' })],
    ended: false,
  },
  { search: aSearch(), results: [aResult(1, 4, { resource: 3, value: 0.875 })], ended: true },
];

async function* stream(): AsyncGenerator<ServerEvent<SearchEvent>> {
  for (const [n, data] of EVENTS.entries()) yield { id: String(n + 1), event: 'results', data };
}

test('A search that a file describes is posted with what the command says', async (t) => {
  await using folder = await temporaryFolder();
  const posted: Search[] = [];
  await using platform = await fakePlatform({
    compute: {
      postSearch: async ({ body }) => {
        posted.push(body);
        return aSearch();
      },
    },
  });
  const { env } = platform;
  const file = join(folder.path, 'search.json');
  const given = {
    space: { rate: { kind: 'float', low: 0.001, high: 1, log: true } },
    objective: { goal: 'maximize', score: 'accuracy' },
    budget: { seconds: 60 },
    job: { command: ['train'] },
    parameters: { path: '/config/parameters.json' },
  };
  await writeFile(file, JSON.stringify(given));
  const flags = ['--algo', IDS.algo, '--seed', '3', '--trials', '9', '--control', '--detach'];
  const { code, stdout, stderr } = await morpheo(['search', 'run', file, ...flags], { env });
  t.is(code, 0, stderr);
  t.regex(stdout, new RegExp(`search ${ID}`));
  const [body] = posted;
  t.like(body, { seed: 3, parallel: 1, control: true, budget: { seconds: 60, trials: 9 }, rungs: [1] });
  t.deepEqual(body?.job, { command: ['train'], algo: IDS.algo });
  await writeFile(file, JSON.stringify({ ...given, objective: { goal: 'best' } }));
  const wrong = await morpheo(['search', 'run', file, '--detach'], { env });
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /search\.json is no search: objective\.goal: /);
  await writeFile(file, JSON.stringify(given));
  const bare = await morpheo(['search', 'run', file, '--detach'], { env });
  t.is(bare.code, 2);
  t.regex(bare.stderr, /search\.json does not say what its job runs\.\n.*Give --algo <id>\./);
  t.is(posted.length, 1);
  await writeFile(file, '{');
  t.regex((await morpheo(['search', 'run', file], { env })).stderr, /search\.json is no JSON/);
  const none = await morpheo(['search', 'run', join(folder.path, 'none.json')], { env });
  t.is(none.code, 2);
  t.regex(none.stderr, /none\.json is not there\./);
});

test('A watched search tells each result on a line, and how it stands at the end', async (t) => {
  await using platform = await fakePlatform({
    compute: { getSearch: async () => aSearch(), searchEvents: async () => stream() },
  });
  const { env } = platform;
  const { code, stdout } = await morpheo(['search', 'watch', ID], { env });
  t.is(code, 0);
  for (const line of [
    /^ {3}1 {2}trial 0 at rung 1: 0\.5 {2}\{"rate":0\.1\}$/m,
    /^ {3}2 {2}trial 1 at rung 1: exit_code: 1/m,
    /^ {3}4 {2}trial 1 at rung 3: 0\.875, best 0\.875 of trial 1/m,
    /^why +all 2 trials were made$/m,
    /^best +0\.875, trial 1 at rung 3/m,
    /^random +1 trial, 1 of the resource used, none has a value yet$/m,
    /^rung 1 +random: 0 running, 0 done, 1 failed$/m,
  ])
    t.regex(stdout, line);
  const json = await morpheo(['search', 'watch', ID, '--json'], { env });
  const lines = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    lines,
    [...EVENTS, aSearch()].map((one) => JSON.parse(JSON.stringify(one))),
  );
});

test('On a terminal a search is shown by lines that are drawn anew', async (t) => {
  await using platform = await fakePlatform({
    compute: { getSearch: async () => aSearch(), searchEvents: async () => stream() },
  });
  const { stdout } = await morpheo(['search', 'watch', ID], {
    env: { ...platform.env, NO_COLOR: '1' },
    isTTY: true,
  });
  const [first = '', second = '', third = ''] = stdout.split('\x1b[0J');
  t.regex(first, /running +trial 1 at rung 3, order/);
  t.regex(first, /best +none yet/);
  const lines = first.split('\n').length - 1;
  t.true(first.endsWith(`\x1b[${lines}A`));
  t.notRegex(second, /running +trial/);
  t.regex(third, /^why +all 2 trials/m);
});

test('Searches are listed, shown and cancelled by the beginning of their id', async (t) => {
  const cancelled: string[] = [];
  await using platform = await fakePlatform({
    compute: {
      listSearches: async () => ({ items: [aSearch()], total: 1 }),
      getSearch: async () => RUNNING,
      cancelSearch: async ({ params }) => {
        cancelled.push(params.uuid);
        return aSearch({ status: 'cancelled' });
      },
    },
  });
  const { env } = platform;
  const list = await morpheo(['search', 'list'], { env });
  t.regex(list.stdout, /^6c7a2f5e +rates +random +done +2 +4 +0\.875 /m);
  t.is(list.stderr, '1 of 1 search\n');
  const shown = await morpheo(['search', 'show', '6c7a'], { env });
  t.regex(shown.stdout, /^trials +2 of 2; 4 orders, 2 ended; 5 of the resource used$/m);
  t.is((await morpheo(['search', 'cancel', '6c7a'], { env })).code, 0);
  t.deepEqual(cancelled, [ID]);
  t.regex((await morpheo(['search', 'show', 'ffff'], { env })).stderr, /named by its whole id/);
});
