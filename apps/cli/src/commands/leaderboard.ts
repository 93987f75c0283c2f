import { isPlatformError, type ResourceType } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { boardText, type Names } from '../leaderboard/board-text.ts';
import { type Entry, rankEntries, type Scored, scoredOf } from '../leaderboard/rank.ts';
import { resolveResource } from '../platform/ids.ts';
import { orderPages } from '../platform/pages.ts';
import { examples, readInteger, readUuid } from './arguments.ts';

interface BoardOptions {
  readonly workflow?: string;
  readonly problem?: string;
  readonly best?: boolean;
  readonly limit?: number;
}

/** Adds `morpheo leaderboard`. */
export function addLeaderboard(program: Command, run: Runner): void {
  const command = program
    .command('leaderboard')
    .summary('show the trainings that are done, best first')
    .description('Show the trainings that are done, best first, a board for each problem workflow.')
    .option('--workflow <uuid>', 'only this problem workflow')
    .option('--problem <uuid>', "only this problem of the orchestrator's", readUuid)
    .option('--best', 'each algorithm once, with its best training')
    .option('--limit <n>', 'at most so many of each board', readInteger(1, 1_000_000))
    .action(run(leaderboard));
  examples(command, [
    ['morpheo leaderboard', 'everything that was trained'],
    ['morpheo leaderboard --workflow 7d4a --best', 'the algorithms of one problem, compared'],
  ]);
}

async function leaderboard(context: Context, options: BoardOptions): Promise<undefined> {
  const { terminal } = context;
  const workflow =
    options.workflow === undefined ? undefined : await resolveResource(context, 'problem', options.workflow);
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  const entries = rankEntries(
    await scoredOrders(context, workflow, options.problem),
    options.best === true,
  ).filter(limitEach(limit));
  const names = await namesOf(context, entries);
  const items = entries.map((entry) => ({ ...entry, algo_name: names.get(entry.algo) ?? null }));
  await terminal.result({ items }, () =>
    entries.length === 0
      ? terminal.paint('dim', 'No training is done yet.')
      : boardText(terminal.paint, entries, names),
  );
}

async function scoredOrders(
  context: Context,
  workflow: string | undefined,
  problem: string | undefined,
): Promise<Scored[]> {
  const scored: Scored[] = [];
  for await (const page of orderPages(context, { kind: 'learn', status: 'done', problem })) {
    for (const order of page.items) {
      if (workflow !== undefined && order.workflow !== workflow) continue;
      const entry = scoredOf(order);
      if (entry !== undefined) scored.push(entry);
    }
  }
  return scored;
}

function limitEach(limit: number): (entry: Entry) => boolean {
  const counts = new Map<string, number>();
  return ({ workflow }) => {
    const count = (counts.get(workflow) ?? 0) + 1;
    counts.set(workflow, count);
    return count <= limit;
  };
}

/** A board without names is better than none: what storage does not tell is shown by its id. */
async function namesOf(context: Context, entries: readonly Entry[]): Promise<Names> {
  const names = new Map<string, string>();
  const wanted = new Map<string, ResourceType>();
  for (const { algo, workflow } of entries) wanted.set(algo, 'algo').set(workflow, 'problem');
  for (const [uuid, type] of wanted) {
    try {
      const { name } = await context.storage().get({ params: { type, uuid } }, { signal: context.signal });
      if (name !== undefined) names.set(uuid, name);
    } catch (error) {
      if (isPlatformError(error, 'not_found')) continue;
      if (!isPlatformError(error) && !(error instanceof CliError)) throw error;
      context.signal.throwIfAborted();
      context.terminal.note(`Names are missing: ${error.message}`);
      break;
    }
  }
  return names;
}
