import type { SearchEvent, SearchView } from '@morpheo/common';
import type { Context } from '../../context.ts';
import { EXIT, type ExitCode } from '../../exit-codes.ts';
import { followTo } from '../../orders/follow.ts';
import { progressLines, resultLine, searchText } from '../../orders/search-text.ts';
import { liveLines } from '../../terminal/live.ts';

/** Watches a search that has begun, unless it is to be left alone. */
export async function showBegun(
  context: Context,
  view: SearchView,
  detach: boolean,
): Promise<ExitCode | undefined> {
  const { terminal } = context;
  if (!detach) {
    if (!terminal.json) terminal.note(`search ${view.uuid}`);
    return await watchSearch(context, view.uuid);
  }
  await terminal.result(
    view,
    () => `${terminal.paint('green', '✓')} search ${terminal.paint('bold', view.uuid)}`,
  );
  if (!terminal.json) terminal.note(`Watch it with: morpheo search watch ${view.uuid}`);
  return undefined;
}

/** A search as it stands. */
export async function getSearch({ compute, signal }: Context, uuid: string): Promise<SearchView> {
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
