import { hash } from 'node:crypto';
import {
  hasEnded,
  isPlatformError,
  MOST_IN_SEARCH,
  PlatformError,
  type Search,
  toPlatformError,
} from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { sql } from 'kysely';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { SearchRow } from '../db/schema.ts';
import { CHANNELS, type Change } from '../orders/changes.ts';
import type { IntakeSettings } from '../orders/submit.ts';
import type { OpenOrders } from '../owners/open-orders.ts';
import { shownOwner } from '../owners/owners.ts';
import { specOf } from './spec.ts';
import { endSearch, type StepParts, stepSearch } from './step.ts';
import { noSearch, searchesToStep, takeSearch } from './store.ts';

/** How many searches one look finds. */
const AT_ONCE = 100;
/**
 * How often, at the most, it is looked for searches that go on without an end which this process has committed, in milliseconds: after
 * another process has died, or while an owner has too many orders.
 */
const LOOK_EVERY_MS = 1000;

/** What {@link Searches} works with. */
export interface SearchesParts {
  readonly database: ComputeDatabase;
  readonly openOrders: OpenOrders;
  readonly settings: IntakeSettings & Pick<ComputeSettings, 'everyMs'>;
  readonly log: Log;
}

/**
 * The searches of this database. One goes on whenever an order of it has ended: what it hears, and what it places because
 * of that, is one transaction, which a search has one of at a time, in whichever compute-api. Ends that nobody was there
 * to hear of are found by looking.
 */
export class Searches implements AsyncDisposable {
  readonly #database: ComputeDatabase;
  readonly #parts: StepParts;
  readonly #log: Log;
  readonly #loop: Loop;

  /** Starts what brings them forward. */
  constructor({ database, openOrders, settings, log }: SearchesParts) {
    this.#database = database;
    this.#parts = { openOrders, settings };
    this.#log = log;
    this.#loop = startLoop({
      name: 'searches',
      everyMs: Math.max(LOOK_EVERY_MS, settings.everyMs),
      log,
      work: async (signal) => await this.#stepAll(signal),
    });
    database.onCommitted((change) => this.#onChange(change));
  }

  /**
   * Takes in a search of an owner, who is named as it is kept, and places its first orders; resolves once they are on disk.
   * The same search again changes nothing. Throws `conflict` for another one of its id, `invalid_request` and
   * `invalid_order` where it, or an order of it, is no good, and `rate_limited` where its owner has too many.
   */
  async post(search: Search, owner: string): Promise<void> {
    const spec = JSON.stringify(search);
    // Before anything is written.
    specOf(search);
    const identity = hash('sha256', JSON.stringify([search, owner]), 'hex');
    using held = await this.#parts.openOrders.place(owner);
    await this.#database.write(async (tx) => {
      const row = await insert(tx, { id: search.uuid, owner, spec, identity });
      if (row === undefined) return await requireSame(tx, search.uuid, identity);
      if (held.refusal !== undefined) throw held.refusal;
      await requireRoom(tx, owner);
      await stepSearch(tx, row, this.#parts);
    });
    this.#tell(search.uuid);
  }

  /** Ends a search and its orders. Throws `not_found`, and `wrong_state` where it has ended otherwise. */
  async cancel(id: string, by: string): Promise<void> {
    await this.#database.write(async (tx) => {
      const row = await takeSearch(tx, id);
      if (row === undefined) throw noSearch(id);
      if (row.status === 'cancelled') return;
      if (row.status !== 'running')
        throw new PlatformError('wrong_state', `The search ${id} has ended: it is ${row.status}.`);
      await endSearch(tx, row, { status: 'cancelled', why: `cancelled by ${by}` });
    });
    this.#tell(id);
  }

  /** Stops after the transaction under way. What is left goes on with the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop[Symbol.asyncDispose]();
  }

  #onChange({ order: { status, group_name: group } }: Change): void {
    if (group?.startsWith('search-') === true && hasEnded(status)) this.#loop.wake();
  }

  async #stepAll(signal: AbortSignal): Promise<void> {
    for (;;) {
      const ids = await searchesToStep(this.#database, AT_ONCE);
      for (const id of ids) {
        if (signal.aborted) return;
        await this.#step(id);
      }
      if (ids.length < AT_ONCE) return;
    }
  }

  async #step(id: string): Promise<void> {
    try {
      await this.#database.write(async (tx) => {
        const row = await takeSearch(tx, id);
        if (row?.status === 'running') await stepSearch(tx, row, this.#parts);
      });
    } catch (error) {
      if (passes(error)) throw error;
      // What is wrong with the search itself does not get better, and must not hold up others.
      const why = toPlatformError(error).message;
      this.#log.warn({ search: id, error }, 'A search cannot go on, and has failed');
      await this.#database.write(async (tx) => {
        const row = await takeSearch(tx, id);
        if (row?.status === 'running') await endSearch(tx, row, { status: 'failed', why });
      });
    }
    this.#tell(id);
  }

  #tell(id: string): void {
    this.#database.notify(CHANNELS.search, id);
  }
}

/** True where the database is to blame, and not the search: it goes on later. */
function passes(error: unknown): boolean {
  return isPlatformError(error, 'unavailable') || isPlatformError(error, 'disk_full');
}

/** Adds a search; undefined where there is one of its id. */
async function insert(
  { db, now }: Tx,
  row: Pick<SearchRow, 'id' | 'owner' | 'spec' | 'identity'>,
): Promise<SearchRow | undefined> {
  return await db
    .insertInto('searches')
    .values({ ...row, status: 'running', told: 0, placed: 0, created_at: now })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .returningAll()
    .executeTakeFirst();
}

async function requireSame({ db }: Tx, id: string, identity: string): Promise<void> {
  const row = await db
    .selectFrom('searches')
    .select('identity')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  if (row.identity === identity) return;
  throw new PlatformError(
    'conflict',
    `There is another search with the uuid ${id}. Send the same body as before, or a new uuid.`,
  );
}

async function requireRoom({ db }: Tx, owner: string): Promise<void> {
  const { n } = await db
    .selectFrom('searches')
    .select(({ fn }) => fn.countAll<number | string>().as('n'))
    .where('owner', '=', owner)
    // Written out, for the index of these alone.
    .where(sql<boolean>`status = 'running'`)
    .executeTakeFirstOrThrow();
  if (Number(n) <= MOST_IN_SEARCH.running) return;
  throw new PlatformError(
    'rate_limited',
    `${shownOwner(owner)} has ${MOST_IN_SEARCH.running} searches that run, as many as an owner may have. Wait until one has ended, or cancel one.`,
  );
}
