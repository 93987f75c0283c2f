import { scoreText } from '../orders/order-text.ts';
import { type Column, idShortener, layOut } from '../terminal/table.ts';
import type { Paint } from '../terminal/terminal.ts';
import { bar, humanSeconds, oneLine } from '../terminal/text.ts';
import type { Entry } from './rank.ts';

/** Names of algorithms and workflows by id, as far as storage knows them. */
export type Names = ReadonlyMap<string, string>;

const BAR_WIDTH = 20;

const COLUMNS: readonly Column[] = [
  { title: '#', align: 'right' },
  { title: 'algorithm' },
  { title: 'rank', align: 'right' },
  { title: 'perf', align: 'right' },
  { title: '' },
  { title: 'train', align: 'right' },
  { title: 'test', align: 'right' },
  { title: 'took', align: 'right' },
  { title: 'model' },
];

/** Leaderboards for people: one a workflow, a bar drawn for each score. */
export function boardText(paint: Paint, entries: readonly Entry[], names: Names): string {
  const shortModel = idShortener(entries.map((entry) => entry.model));
  const boards = [...Map.groupBy(entries, (entry) => entry.workflow).entries()].map(([workflow, board]) => {
    const name = names.get(workflow);
    const title = `${paint('bold', oneLine(name ?? 'problem workflow', 60))}  ${paint('dim', workflow)}`;
    return `${title}\n${tableOf(paint, board, names, shortModel)}`;
  });
  return boards.join('\n\n');
}

function tableOf(
  paint: Paint,
  board: readonly Entry[],
  names: Names,
  shortModel: (id: string) => string,
): string {
  const share = shareOf(board);
  const rows = board.map((entry) => [
    String(entry.place),
    entry.place === 1 ? paint('bold', nameOf(entry, names)) : nameOf(entry, names),
    String(entry.rank),
    scoreText(entry.perf),
    paint(entry.place === 1 ? 'green' : 'cyan', bar(share(entry.perf), BAR_WIDTH)),
    entry.train_perf === undefined ? '–' : scoreText(entry.train_perf),
    entry.test_perf === undefined ? '–' : scoreText(entry.test_perf),
    entry.seconds === undefined ? '–' : humanSeconds(entry.seconds),
    shortModel(entry.model),
  ]);
  return layOut(paint, COLUMNS, rows);
}

function nameOf(entry: Entry, names: Names): string {
  return oneLine(names.get(entry.algo) ?? entry.algo.slice(0, 8), 40);
}

/** How full a score's bar is: the score itself where all lie between 0 and 1, else its place between the extremes. */
function shareOf(board: readonly Entry[]): (perf: number) => number {
  const scores = board.map((entry) => entry.perf);
  const least = Math.min(...scores);
  const most = Math.max(...scores);
  if (least >= 0 && most <= 1) return (perf) => perf;
  return (perf) => (most === least ? 1 : (perf - least) / (most - least));
}
