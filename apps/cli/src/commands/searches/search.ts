import { MOST_IN_SEARCH, PAGE, type SearchSummary } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import type { ExitCode } from '../../exit-codes.ts';
import { searchTable, searchText } from '../../orders/search-text.ts';
import { resolveSearch } from '../../platform/ids.ts';
import { atLeast } from '../../terminal/text.ts';
import { examples, readInteger } from '../arguments.ts';
import { addPicturesSearch } from './pictures.ts';
import { addPopulation } from './population.ts';
import { type SearchOptions, searchFrom } from './search-file.ts';
import { getSearch, showBegun, watchSearch } from './watch.ts';

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
  addPicturesSearch(group, run);
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
    .option('--trials <n>', 'how many trials it makes', readInteger(1, MOST_IN_SEARCH.trials))
    .option(
      '--parallel <n>',
      'how many of its orders are open at once',
      readInteger(1, MOST_IN_SEARCH.parallel),
    )
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
  const body = await searchFrom(context, file, options);
  const view = await context.compute().postSearch({ body }, { signal: context.signal });
  return await showBegun(context, view, options.detach === true);
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

async function cancelSearch(context: Context, id: string): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const uuid = await resolveSearch(context, id);
  const search = await compute().cancelSearch({ params: { uuid } }, { signal });
  await terminal.result(search, () => searchText(terminal.paint, search));
}
