import { EventEmitter, once } from 'node:events';
import type { SearchEvent, ServerEvent } from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';
import { searchRow } from './store.ts';
import { resultsAfter, searchView } from './views.ts';

/** A search that somebody watches is looked at so often without news, which may be lost, in milliseconds. */
const LOOK_EVERY_MS = 2000;
/** How many results one event tells of. */
const MOST_TOLD = 200;

/** The streams of searches that people watch, in this process. */
export class SearchFollowers {
  readonly #database: ComputeDatabase;
  readonly #news = new EventEmitter().setMaxListeners(0);

  constructor(database: ComputeDatabase) {
    this.#database = database;
  }

  /** There may be news of a search. */
  announce(id: string): void {
    this.#news.emit(id);
  }

  /**
   * The results of a search after the first `from`, and how it stands, until it has ended and nothing is left; the first event comes
   * at once. The id of an event is how many results have been told. `signal` ends it quietly.
   */
  async *events(
    id: string,
    from: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ServerEvent<SearchEvent>> {
    let told = from;
    let seen = '';
    while (signal?.aborted !== true) {
      // Listens before it looks, so that what is announced meanwhile is not missed.
      const news = this.#next(id, signal);
      const row = await searchRow(this.#database, id);
      const now = JSON.stringify([row.status, row.told, row.placed]);
      if (now !== seen) {
        const results = await resultsAfter(this.#database, id, told, MOST_TOLD);
        told = results.at(-1)?.rungs[0]?.result ?? told;
        const isAll = told >= row.told;
        const ended = row.status !== 'running' && isAll;
        const search = await searchView(this.#database, row);
        if (isAll) seen = now;
        yield { id: String(told), event: ended ? 'ended' : 'results', data: { search, results, ended } };
        if (ended) return;
        if (!isAll) continue;
      }
      await news;
    }
  }

  async #next(id: string, signal: AbortSignal | undefined): Promise<void> {
    const look = AbortSignal.timeout(LOOK_EVERY_MS);
    const over = signal === undefined ? look : AbortSignal.any([signal, look]);
    await once(this.#news, id, { signal: over }).catch(() => undefined);
  }
}
