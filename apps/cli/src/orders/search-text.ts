import type { BestTrial, SearchStatus, SearchSummary, SearchView, TrialView } from '@morpheo/common';
import { type Column, layOut } from '../terminal/table.ts';
import type { Paint } from '../terminal/terminal.ts';
import { clockTime, counted, humanSeconds, localTime, oneLine, secondsBetween } from '../terminal/text.ts';
import { parametersText } from './parameters-text.ts';

/** How much of a trial's parameters stands in a line, in characters. */
const MOST_PARAMETERS = 80;
/** How many of the open orders the live view shows. */
const MOST_RUNNING = 8;

const COLUMNS: readonly Column[] = [
  { title: 'search' },
  { title: 'name' },
  { title: 'strategy' },
  { title: 'status' },
  { title: 'trials', align: 'right' },
  { title: 'orders', align: 'right' },
  { title: 'best', align: 'right' },
  { title: 'created' },
];

/** Searches as a table. */
export function searchTable(paint: Paint, searches: readonly SearchSummary[]): string {
  const rows = searches.map(({ uuid, name, strategy, status, trials, orders, best, created_at }) => [
    paint('bold', uuid.slice(0, 8)),
    oneLine(name ?? '', 40),
    oneLine(strategy, 20),
    paintSearch(paint, status),
    String(trials),
    String(orders),
    best === undefined ? '' : valueText(best.value),
    localTime(created_at),
  ]);
  return layOut(paint, COLUMNS, rows);
}

/** A search, for people. */
export function searchText(paint: Paint, search: SearchView): string {
  const { uuid, name, owner, group, why, created_at, ended_at } = search;
  const took = secondsBetween(created_at, ended_at);
  const fields: readonly (readonly [string, string | undefined])[] = [
    ['search', paint('bold', uuid)],
    ['name', name === undefined ? undefined : oneLine(name, 100)],
    ['owner', oneLine(owner, 100)],
    ['group', group],
    ['created', localTime(created_at)],
    ['took', took === undefined ? undefined : humanSeconds(took)],
    ['why', why === undefined ? undefined : oneLine(why, 200)],
  ];
  const head = fields
    .filter((field): field is [string, string] => field[1] !== undefined)
    .map(([title, value]) => `${paint('dim', title.padEnd(10))}${value}`);
  return [...head, ...progressLines(paint, search)].join('\n');
}

/** How a search stands: the best so far, the rungs of its arms, what runs; a few lines. */
export function progressLines(paint: Paint, search: SearchView): string[] {
  const { status, strategy, trials, orders, ended, budget, best, control, rungs, running, used } = search;
  const of = budget.trials === undefined ? '' : ` of ${budget.trials}`;
  const line = (title: string, text: string) => `${paint('dim', title.padEnd(10))}${text}`;
  return [
    line('status', `${paintSearch(paint, status)}, ${strategy}, seed ${search.seed}`),
    line('trials', `${trials}${of}; ${counted(orders, 'order')}, ${ended} ended; ${resourceText(used)}`),
    line('best', best === undefined ? paint('dim', 'none yet') : bestText(paint, best)),
    ...(control === undefined
      ? []
      : [
          line(
            'random',
            `${counted(control.trials, 'trial')}, ${resourceText(control.used)}, ` +
              (control.best === undefined ? 'none has a value yet' : `best ${bestText(paint, control.best)}`),
          ),
        ]),
    ...rungs.map(({ arm, resource, running: open, done, failed, best: value }) =>
      line(
        `rung ${resource}`,
        `${arm === 'control' ? 'random: ' : ''}${open} running, ${done} done, ${failed} failed` +
          (value === undefined ? '' : `, best ${valueText(value)}`),
      ),
    ),
    ...running
      .slice(0, MOST_RUNNING)
      .map(({ trial, arm, resource, order, placed_at }) =>
        line(
          'running',
          `trial ${trial}${arm === 'control' ? ' (random)' : ''} at rung ${resource}, ` +
            `order ${order.slice(0, 8)} since ${clockTime(placed_at)}`,
        ),
      ),
    ...(running.length > MOST_RUNNING ? [line('', `and ${running.length - MOST_RUNNING} more`)] : []),
  ];
}

/** A result of a search, as one line: how far the search is, which trial, at which rung, how it came out. */
export function resultLine(
  paint: Paint,
  { trial, arm, parameters, rungs }: TrialView,
  search: SearchView,
): string {
  const [run] = rungs;
  const how =
    run?.value === undefined
      ? paint('red', oneLine(run?.failed ?? '', 100))
      : paint('bold', valueText(run.value));
  const best =
    search.best === undefined ? '' : `, best ${valueText(search.best.value)} of trial ${search.best.trial}`;
  const who = `trial ${trial}${arm === 'control' ? ' (random)' : ''}`;
  return (
    `${paint('dim', String(run?.result ?? '').padStart(4))}  ${who} at rung ${run?.resource ?? ''}: ${how}` +
    `${paint('dim', `${best}  ${parametersText(parameters, MOST_PARAMETERS)}`)}`
  );
}

function bestText(paint: Paint, { trial, value, resource, parameters, order }: BestTrial): string {
  const told = parametersText(parameters, MOST_PARAMETERS);
  return `${paint('bold', valueText(value))}, trial ${trial} at rung ${resource}, order ${order.slice(0, 8)}  ${paint('dim', told)}`;
}

function valueText(value: number): string {
  return String(Number(value.toPrecision(5)));
}

function resourceText(used: number): string {
  return `${used.toLocaleString('en')} of the resource used`;
}

function paintSearch(paint: Paint, status: SearchStatus): string {
  const look = { running: 'cyan', done: 'green', failed: 'red', cancelled: 'yellow' } as const;
  return paint(look[status], status);
}
