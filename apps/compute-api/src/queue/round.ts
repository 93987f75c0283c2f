import { ORDER_KINDS, type OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { ComputeSettings } from '../config.ts';
import type { Tx } from '../db/database.ts';
import { type Columns, rowsOf } from '../db/rows.ts';
import type { OrderRow } from '../db/schema.ts';
import { PAUSED } from '../workers/store.ts';
import { type Conditions, type Demand, Lines, type Next, ownerIn, READ_AGAIN } from './fair-share.ts';
import { ASKS_GPUS, type Offer } from './gpu-reservation.ts';
import { ISOLATED } from './isolation.ts';
import { waitingNeeds } from './matching.ts';
import { Shares } from './shares.ts';
import { type Start, startAttempts } from './start.ts';

/** What is due at all, as one query says it. */
interface Overview {
  readonly isPaused: boolean;
  /** Whether any open order has to be run alone. */
  readonly isolates: boolean;
  /** Whether any due order asks for GPUs. */
  readonly asksGpus: boolean;
  /** What due orders need, by kind. */
  readonly waiting: readonly Pick<Demand, 'kind' | 'needs'>[];
  /** By worker, those of the needs that it is for. */
  readonly offered: ReadonlyMap<string, ReadonlySet<string>>;
}

/** A claim, as far as it decides what may be handed out. */
export interface Claimable extends Offer {
  readonly worker: string;
}

/**
 * What claims that are decided in one transaction have in common: lines of due orders and shares of owners are read once,
 * and what is handed out is written together. Each is decided as though what those before it got were written already.
 */
export class Round {
  readonly tx: Tx;
  readonly settings: ComputeSettings;
  readonly overview: Overview;
  readonly #started: OrderRow[] = [];
  readonly #starts: Start[] = [];
  readonly #claims: readonly Claimable[];
  #shares: Shares;
  #lines: Lines | undefined;
  #rivals: readonly Rival[] | undefined;
  /** Of which kind, and whose, orders were handed out that are not written yet. */
  readonly #served = new Set<string>();
  #isShort = false;
  /** How many orders may still be asked for. */
  #wanted: number;

  private constructor(
    tx: Tx,
    settings: ComputeSettings,
    claims: readonly Claimable[],
    wanted: number,
    overview: Overview,
  ) {
    this.tx = tx;
    this.settings = settings;
    this.overview = overview;
    this.#claims = claims;
    this.#wanted = wanted;
    this.#shares = new Shares(tx);
  }

  /** Looks at what is due for these claims, which may take `wanted` orders in all. */
  static async open(
    tx: Tx,
    settings: ComputeSettings,
    claims: readonly Claimable[],
    wanted: number,
  ): Promise<Round> {
    const workers = [...new Set(claims.map(({ worker }) => worker))];
    return new Round(tx, settings, claims, wanted, await overviewOf(tx, workers));
  }

  /** Whether there may be more than can be handed out here: others have it locked, and are not waited for. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** How many orders were handed out. */
  get handedOut(): number {
    return this.#started.length + this.#starts.length;
  }

  /**
   * The order whose turn it is of those that fit a claim. With `conditions` it is looked for by these alone; without, any
   * of what is due and asks for no GPUs may be handed out to whoever offers what it needs.
   */
  async next(claim: Claimable, conditions?: Conditions): Promise<Next | undefined> {
    const fits = (demand: Demand) => this.#fits(claim, demand);
    for (;;) {
      if (conditions !== undefined || this.#lines === undefined) await this.write();
      const lines =
        this.#lines ?? (await this.#readLines(conditions === undefined ? this.#claims : [claim], conditions));
      if (conditions === undefined) this.#lines = lines;
      const next = await lines.next(fits, conditions === undefined ? this.#wanted : 1, () => this.#mayWait());
      if (next !== READ_AGAIN) return next;
      await this.write();
    }
  }

  /** Hands an order out that this transaction has locked, and counts it for its owner. */
  async hand(next: Next, by: Start['by']): Promise<void> {
    const { kind, owner } = next.order;
    if (!next.isCrowded && this.#isRivalryUnsure(next.order)) await this.write();
    this.#starts.push({ order: next.order, by });
    this.#wanted -= 1;
    const isRivalled = async (clock: OrderKind) => await this.#isRivalled(clock, owner);
    await this.#shares.charge(
      { kind, owner },
      next.isCrowded,
      isRivalled,
      () => this.#lines?.owners(this.#wanted + 1) ?? [],
    );
    this.#served.add(`${kind} ${owner}`);
  }

  /** Writes what was handed out; what is read next is read anew. */
  async write(): Promise<void> {
    this.#started.push(...(await startAttempts(this.tx, this.#starts.splice(0), this.settings.leaseMs)));
    // Last, so that others that charge the same owners wait as short as can be.
    await this.#shares.write();
    this.#shares = new Shares(this.tx);
    this.#lines = undefined;
    this.#rivals = undefined;
    this.#served.clear();
  }

  /** Writes, and returns all orders that were handed out, in their order, as they are now. */
  async close(): Promise<readonly OrderRow[]> {
    await this.write();
    return this.#started;
  }

  /** Whoever waits for others holds nothing that they might wait for. Where one connection writes, nobody has to. */
  #mayWait(): boolean {
    if (this.tx.engine === 'sqlite') return false;
    this.#isShort = this.handedOut > 0;
    return !this.#isShort;
  }

  async #readLines(claims: readonly Claimable[], conditions: Conditions | undefined): Promise<Lines> {
    const gpus = conditions === undefined ? ([0] as const) : ([0, 1] as const);
    const demands = this.overview.waiting
      .flatMap((waiting) => gpus.map((asks_gpus) => ({ ...waiting, asks_gpus })))
      .filter((demand) => claims.some((claim) => this.#fits(claim, demand)));
    return await Lines.read(this.tx, this.#shares, demands, this.#wanted, conditions);
  }

  #fits({ worker, kinds, gpus }: Claimable, { kind, needs, asks_gpus }: Demand): boolean {
    if (!kinds.includes(kind) || (asks_gpus === 1 && gpus === 0)) return false;
    return this.overview.offered.get(worker)?.has(needs) === true;
  }

  async #isRivalled(clock: OrderKind, owner: string): Promise<boolean> {
    if (!this.overview.waiting.some(({ kind }) => kind === clock)) return false;
    this.#rivals ??= await readRivals(this.tx);
    return rivalsOf(this.#rivals, clock, owner).length > 0;
  }

  /** Whether the last order of all who are known to have due orders of another kind may have been handed out, and is not written yet. */
  #isRivalryUnsure({ kind, owner }: OrderRow): boolean {
    const rivals = this.#rivals ?? [];
    return ORDER_KINDS.some((clock) => {
      const others = clock === kind ? [] : rivalsOf(rivals, clock, owner);
      const isSure = (one: string) =>
        !this.#served.has(`${clock} ${one}`) || this.#lines?.hasMore(clock, one) === true;
      return others.length > 0 && !others.some(isSure);
    });
  }
}

/** Of the owners of due orders of a kind, whatever they need, the first or the last by name. */
interface Rival {
  readonly kind: OrderKind;
  readonly owner: string;
}

function rivalsOf(rivals: readonly Rival[], clock: OrderKind, owner: string): string[] {
  return rivals.flatMap((rival) => (rival.kind === clock && rival.owner !== owner ? [rival.owner] : []));
}

/** The first and the last of each line: whether any owner is another than one would be found by reading all. */
async function readRivals({ db }: Tx): Promise<Rival[]> {
  const { rows } = await sql<{ kind: OrderKind; first: string | null; last: string | null }>`
    with recursive ${waitingNeeds()}
    select kind, min(${ownerIn('first')}) as first, max(${ownerIn('last')}) as last
    from (
      select waiting.kind, waiting.needs, asks.n as asks_gpus
      from waiting cross join (select 0 as n union all select 1) as asks
      where waiting.needs is not null) as line
    group by kind`.execute(db);
  return rows.flatMap(({ kind, first, last }) =>
    [first, last].flatMap((owner) => (owner === null ? [] : [{ kind, owner }])),
  );
}

/** What is due at all, and what these workers offer, as rows of several sorts. */
export function overviewQuery(tx: Tx, workers: readonly string[]): RawBuilder<OverviewRow> {
  const posted = rowsOf(
    tx,
    WORKER,
    workers.map((worker) => ({ worker })),
  );
  // What is offered and needed is compared by `offeredOf`, and not by a join: PostgreSQL takes that for a large one, and compiles
  // it anew for each claim, which takes seconds.
  return sql<OverviewRow>`
    with recursive ${waitingNeeds()}
    select 'waiting' as what, waiting.kind as a, waiting.needs as b, 0 as demanded,
      ${PAUSED} as paused, ${ISOLATED} as isolated, ${ASKS_GPUS} as gpus
    from waiting
    union all
    select 'offer', offers.worker, offers.term, offers.demanded, 0, 0, 0
    from offers inner join ${posted} on offers.worker = posted.worker
    union all
    select 'need', need_terms.id, need_terms.term, 0, 0, 0, 0
    from need_terms where need_terms.id in (select waiting.needs from waiting where waiting.needs <> '')`;
}

async function overviewOf(tx: Tx, workers: readonly string[]): Promise<Overview> {
  const { rows } = await overviewQuery(tx, workers).execute(tx.db);
  const waiting = new Map<string, Pick<Demand, 'kind' | 'needs'>>();
  for (const { what, a, b } of rows) {
    // Of the table of kinds.
    if (what === 'waiting' && b !== null) waiting.set(`${a} ${b}`, { kind: a as OrderKind, needs: b });
  }
  const needs = new Set([...waiting.values()].map((demand) => demand.needs));
  const row = rows.find(({ what }) => what === 'waiting');
  return {
    isPaused: Number(row?.paused) > 0,
    isolates: Number(row?.isolated) > 0,
    asksGpus: Number(row?.gpus) > 0,
    waiting: [...waiting.values()],
    offered: offeredOf(rows, workers, needs),
  };
}

/** By worker, the ids of those needs that it is for: as `offersAll` says, for many at once. */
function offeredOf(
  rows: readonly OverviewRow[],
  workers: readonly string[],
  needs: ReadonlySet<string>,
): Map<string, ReadonlySet<string>> {
  const terms = termsBy(rows.filter(({ what }) => what === 'need'));
  const offers = rows.filter(({ what }) => what === 'offer');
  const [offered, demanded] = [
    termsBy(offers),
    termsBy(offers.filter((offer) => Number(offer.demanded) === 1)),
  ];
  return new Map(
    workers.map((worker) => {
      const [its, demands] = [offered.get(worker), [...(demanded.get(worker) ?? [])]];
      const isFor = (one: string): boolean => {
        const needed = terms.get(one);
        const isOffered = [...(needed ?? [])].every((term) => its?.has(term) === true);
        return isOffered && demands.every((term) => needed?.has(term) === true);
      };
      return [worker, new Set([...needs].filter(isFor))];
    }),
  );
}

function termsBy(rows: readonly OverviewRow[]): Map<string, Set<string>> {
  const terms = new Map<string, Set<string>>();
  for (const { a, b } of rows) if (b !== null) terms.set(a, (terms.get(a) ?? new Set()).add(b));
  return terms;
}

/** `waiting`: needs `b` of due orders of a kind `a`; `offer`: a term `b` of a worker `a`; `need`: a term `b` of needs `a`. */
interface OverviewRow {
  readonly what: 'waiting' | 'offer' | 'need';
  readonly a: string;
  readonly b: string | null;
  readonly demanded: number;
  readonly paused: number;
  readonly isolated: number;
  readonly gpus: number;
}

const WORKER: Columns<{ worker: string }> = { worker: 'text' };
