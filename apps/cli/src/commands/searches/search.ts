import { PAGE, type Search, type SearchEvent, type SearchSummary, type SearchView } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { EXIT, type ExitCode } from '../../exit-codes.ts';
import { followTo } from '../../orders/follow.ts';
import { progressLines, resultLine, searchTable, searchText } from '../../orders/search-text.ts';
import { resolveSearch } from '../../platform/ids.ts';
import { liveLines } from '../../terminal/live.ts';
import { atLeast } from '../../terminal/text.ts';
import { examples, readInteger } from '../arguments.ts';
import { addPopulation } from './population.ts';
import { type SearchOptions, searchFrom } from './search-file.ts';

interface ListOptions {
  readonly owner?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

/** Adds `morpheo search`. */
export function addSearch(program: Command, run: Runner): void {
  const group = program
    .command('search')
    .summary('search parameters of jobs and trainings; list, show, watch and cancel searches')
    .description(
      'A search runs a job again and again with other parameters, and chooses them by how the earlier trials came out. ' +
        'It goes on by itself: nobody has to watch it.',
    );
  addRunSearch(group, run);
  const list = group
    .command('list')
    .summary('list your searches, newest first')
    .description('List your searches, newest first, with their best trials.')
    .option('--owner <name>', 'those of somebody else (for admins)')
    .option('--limit <n>', `how many (default: ${PAGE.usual})`, readInteger(1, PAGE.most))
    .option('--cursor <text>', 'go on where the page before ended')
    .action(run(listSearches));
  examples(list, [['morpheo search list', 'your searches, and how they stand']]);
  const show = add(
    group,
    'show',
    'show the best trial of a search, its rungs, what runs, and its random arm',
  );
  show.action(run(showSearch));
  examples(show, [['morpheo search show 6c7a', 'one search']]);
  const watch = add(
    group,
    'watch',
    'watch a search until it has ended: a live view, or a line for each result',
  );
  watch.action(
    run(async (context, id: string) => await watchSearch(context, await resolveSearch(context, id))),
  );
  examples(watch, [
    ['morpheo search watch 6c7a', 'exit code 0 when it is done, 1 when it failed or was cancelled'],
    ['morpheo search watch 6c7a --json', 'the results as they come, a line each; the search on the last'],
  ]);
  const cancel = add(group, 'cancel', 'end a search, and its orders that have not ended');
  cancel.action(run(cancelSearch));
  addPopulation(group, run);
  examples(cancel, [['morpheo search cancel 6c7a', 'stop it']]);
}

function addRunSearch(group: Command, run: Runner): void {
  const command = group
    .command('run')
    .summary('begin a search that a file describes, and watch it')
    .description(
      'Begin a search: FILE is JSON with the space, the objective, the budget, and the job that is run, as POST /v1/searches takes it. What it leaves out: uuid is drawn, seed is 0, and parallel is 1.',
    )
    .argument('<file>', 'the search, as JSON')
    .option('--algo <uuid>', 'the algorithm of its job, or of its training')
    .option('--name <text>', 'a name, to find it again')
    .option('--seed <n>', 'the seed of all that is drawn', readInteger(0, Number.MAX_SAFE_INTEGER))
    .option('--trials <n>', 'how many trials it makes', readInteger(1, 1_000_000))
    .option('--parallel <n>', 'how many of its orders are open at once', readInteger(1, 64))
    .option('--control', 'random trials of the same budget beside, to compare with')
    .option(
      '--population <file>',
      'networks that are tried first: a population.json of dicebox, or an exported one',
    )
    .option('-d, --detach', 'do not watch it')
    .action(run(runSearch));
  examples(command, [
    ['morpheo search run search.json --algo a1b6', 'search, and watch'],
    [
      'morpheo search run search.json --seed 3 --control --detach',
      'another seed, a random arm beside, and go',
    ],
  ]);
}

function add(group: Command, name: string, summary: string): Command {
  return group
    .command(name)
    .summary(summary)
    .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
    .argument('<search>', 'its id, or the beginning of it');
}

async function runSearch(
  context: Context,
  file: string,
  options: SearchOptions & { readonly detach?: boolean },
): Promise<ExitCode | undefined> {
  return await beginSearch(context, await searchFrom(context, file, options), options.detach === true);
}

/** Posts a search, and watches it unless it is to be left alone. */
export async function beginSearch(
  context: Context,
  body: Search,
  detach: boolean,
): Promise<ExitCode | undefined> {
  const { terminal, compute, signal } = context;
  const view = await compute().postSearch({ body }, { signal });
  if (!detach) {
    if (!terminal.json) terminal.note(`search ${view.uuid}`);
    return await watchSearch(context, view.uuid);
  }
  await terminal.result(
    view,
    () => `${terminal.paint('green', '✓')} search ${terminal.paint('bold', view.uuid)}`,
  );
  if (!terminal.json) terminal.note(`Watch it with: morpheo search watch ${view.uuid.slice(0, 8)}`);
  return undefined;
}

async function listSearches(context: Context, query: ListOptions): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const page = await compute().listSearches({ query }, { signal });
  await terminal.result(page, () => tableOrNothing(context, page.items));
  if (terminal.json || page.items.length === 0) return;
  const next = page.next === undefined ? '' : `; more: --cursor ${page.next}`;
  const text = `${page.items.length} of ${atLeast(page, 'search')}${next}`;
  terminal.note(terminal.paintNote('dim', text));
}

function tableOrNothing({ terminal: { paint } }: Context, items: readonly SearchSummary[]): string {
  return items.length === 0
    ? paint('dim', 'No searches. Begin one: morpheo search run FILE')
    : searchTable(paint, items);
}

async function showSearch(context: Context, id: string): Promise<undefined> {
  const search = await getSearch(context, await resolveSearch(context, id));
  await context.terminal.result(search, () => searchText(context.terminal.paint, search));
}

async function getSearch({ compute, signal }: Context, uuid: string): Promise<SearchView> {
  return await compute().getSearch({ params: { uuid } }, { signal });
}

/**
 * Shows how a search stands until it has ended: on a terminal as lines that are drawn anew, else a line for each result. As
 * JSON: the news as they come, a line each, and the search as it ended on the last. The exit code is 0 where it is done.
 */
export async function watchSearch(context: Context, uuid: string): Promise<ExitCode> {
  const { terminal, compute } = context;
  const { paint } = terminal;
  const live = terminal.interactive && !terminal.json ? liveLines(terminal) : undefined;
  const tell = async (event: SearchEvent): Promise<void> => {
    if (terminal.json) await terminal.item(event, String);
    else if (live !== undefined) await live.show(progressLines(paint, event.search));
    else for (const result of event.results) await terminal.line(resultLine(paint, result, event.search));
  };
  await getSearch(context, uuid);
  const search = await followTo(
    context,
    (after, signal) =>
      compute().searchEvents({ params: { uuid }, headers: { 'last-event-id': after } }, { signal }),
    tell,
    () => getSearch(context, uuid),
  );
  if (terminal.json) await terminal.item(search, String);
  else if (live === undefined) await terminal.line(searchText(paint, search));
  else await live.show(searchText(paint, search).split('\n'));
  return search.status === 'done' ? EXIT.ok : EXIT.failed;
}

async function cancelSearch(context: Context, id: string): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const uuid = await resolveSearch(context, id);
  const search = await compute().cancelSearch({ params: { uuid } }, { signal });
  await terminal.result(search, () => searchText(terminal.paint, search));
}
