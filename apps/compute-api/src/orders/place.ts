import { hasEnded, type OrderSpec, PlatformError, type Settled } from '@morpheo/common';
import type { Tx } from '../db/database.ts';
import type { OrderGroupRow, OrderRow } from '../db/schema.ts';
import { countPosted, noRoomIn, roomIn, takeGroup } from '../groups/store.ts';
import { removedOf } from '../retention/removed-orders.ts';
import { keepJobTerms } from './job-terms.ts';
import { keepNeeds, MOST_NEEDS, openNeedsOf, tooManyNeeds } from './needs.ts';
import { insertOrders, makersOf, type NewOrder, ordersOf, specOf, startModelOf } from './store.ts';

/** An order that is to be placed, with all that is known of it without the database. */
export interface Posted {
  readonly spec: OrderSpec;
  readonly row: Omit<NewOrder, 'status' | 'waits_for'>;
}

/** What came of it; `spec` is what is kept of the order, unless it was removed since. */
export interface Placed {
  readonly isNew: boolean;
  readonly spec: OrderSpec | undefined;
}

/**
 * Places orders, whoever posted them: the same few statements for one and for many. Each is placed, or is there already
 * (nothing changes), or fails by itself: `conflict` where there is another order with its id, `wrong_state` where its group
 * takes in no more, `invalid_order` where its owner has too many different needs.
 */
export async function placeOrders(tx: Tx, posted: readonly Posted[]): Promise<Settled<Placed>[]> {
  const outcomes = new Map<Posted, Settled<Placed>>();
  // Before any order, as all do that take both: else two would wait for each other.
  const bounds = new Bounds(await groupsOf(tx, posted));
  for (const wave of wavesOf(posted)) {
    for (let left = wave; left.length > 0; ) {
      const { fitting, refused, later } = await bounds.sort(tx, left);
      const added = await add(tx, fitting);
      bounds.note(added);
      for (const one of added)
        outcomes.set(one, { status: 'fulfilled', value: { isNew: true, spec: one.spec } });
      const others = [...fitting.filter((one) => !outcomes.has(one)), ...refused.keys()];
      for (const [one, outcome] of await lookUp(tx, others, refused)) outcomes.set(one, outcome);
      left = later;
    }
  }
  for (const group of bounds.groups()) await countPosted(tx, group);
  return posted.flatMap((one) => outcomes.get(one) ?? []);
}

/** How orders begin: each waits for the order that is to make its start model, or else for storage to check it. */
export async function startsOf(
  tx: Tx,
  orders: readonly Pick<OrderRow, 'owner' | 'model' | 'model_start'>[],
): Promise<Pick<OrderRow, 'status' | 'waits_for'>[]> {
  const models = orders.map(startModelOf);
  const asked = orders.flatMap(({ owner }, n) => {
    const model = models[n] ?? null;
    return model === null ? [] : [{ model, owner }];
  });
  const makers = (await makersOf(tx, asked)).values();
  return models.map((model) => {
    const maker = model === null ? undefined : makers.next().value;
    const waits_for = maker === undefined || hasEnded(maker.status) ? null : maker.id;
    return { status: 'waiting', waits_for };
  });
}

/**
 * The orders in the order in which they are placed, those of a wave by one statement: an order comes after one that makes
 * its start model, and whoever has the id of another not before that one.
 */
function wavesOf(posted: readonly Posted[]): Posted[][] {
  const waves: Posted[][] = [];
  const madeIn = new Map<string, number>();
  const takenIn = new Map<string, number>();
  for (const one of posted) {
    const start = startModelOf(one.row);
    const after = start === null ? undefined : madeIn.get(start);
    const taken = takenIn.get(one.row.id);
    const wave = Math.max(after === undefined ? 0 : after + 1, taken === undefined ? 0 : taken + 1);
    waves[wave] = waves[wave] ?? [];
    waves[wave].push(one);
    takenIn.set(one.row.id, wave);
    const { model_end: made } = one.row;
    if (made !== null) madeIn.set(made, Math.max(wave, madeIn.get(made) ?? 0));
  }
  return waves;
}

async function groupsOf(tx: Tx, posted: readonly Posted[]): Promise<OrderGroupRow[]> {
  const keys = posted.flatMap(({ row: { owner, group_name: name } }) =>
    name === null ? [] : [[groupKey(owner, name), { owner, name }] as const],
  );
  const groups: OrderGroupRow[] = [];
  // By name, as whoever else takes several.
  for (const [, key] of [...new Map(keys)].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    groups.push(await takeGroup(tx, key));
  }
  return groups;
}

function groupKey(owner: string, name: string): string {
  return JSON.stringify([owner, name]);
}

/** What bounds orders that are placed together: the room of their groups, and the different needs of their owners. */
class Bounds {
  readonly #groups: Map<string, { readonly row: OrderGroupRow; added: number }>;
  readonly #needs = new Map<string, Set<string>>();

  constructor(groups: readonly OrderGroupRow[]) {
    this.#groups = new Map(groups.map((row) => [groupKey(row.owner, row.name), { row, added: 0 }]));
  }

  /**
   * Which of the orders may be added at once, and why others may not. `later`: those for which there is room only where
   * some of the first turn out not to be new.
   */
  async sort(tx: Tx, posted: readonly Posted[]) {
    const fitting: Posted[] = [];
    const later: Posted[] = [];
    const refused = new Map<Posted, PlatformError>();
    const taking = { groups: new Map<string, number>(), needs: new Map<string, Set<string>>() };
    for (const one of posted) {
      const group = this.#groupOf(one);
      const key = group === undefined ? '' : groupKey(group.row.owner, group.row.name);
      const its = taking.groups.get(key) ?? 0;
      const needs = await this.#needsOf(tx, one);
      const { owner, needs: id } = one.row;
      const fresh = taking.needs.get(owner) ?? new Set();
      const isKnown = needs === undefined || needs.has(id) || fresh.has(id);
      const room = group === undefined ? Number.POSITIVE_INFINITY : this.#roomOf(group);
      if (group !== undefined && room === 0) refused.set(one, noRoomIn(group.row));
      else if (!isKnown && needs.size >= MOST_NEEDS) refused.set(one, tooManyNeeds(owner));
      else if (its >= room || (!isKnown && needs.size + fresh.size >= MOST_NEEDS)) later.push(one);
      else {
        fitting.push(one);
        taking.groups.set(key, its + 1);
        if (!isKnown) taking.needs.set(owner, fresh.add(id));
      }
    }
    return { fitting, refused, later };
  }

  /** These were added. */
  note(added: readonly Posted[]): void {
    for (const one of added) {
      const group = this.#groupOf(one);
      if (group !== undefined) group.added += 1;
      this.#needs.get(one.row.owner)?.add(one.row.needs);
    }
  }

  /** The groups, each with how many orders it has had by now. */
  groups(): OrderGroupRow[] {
    return [...this.#groups.values()].map(({ row, added }) => ({ ...row, posted: row.posted + added }));
  }

  #groupOf({ row: { owner, group_name: name } }: Posted) {
    return name === null ? undefined : this.#groups.get(groupKey(owner, name));
  }

  #roomOf({ row, added }: { readonly row: OrderGroupRow; readonly added: number }): number {
    return Math.max(0, roomIn(row) - added);
  }

  async #needsOf(tx: Tx, { row: { owner, needs } }: Posted): Promise<ReadonlySet<string> | undefined> {
    if (needs === '') return undefined;
    const known = this.#needs.get(owner) ?? (await openNeedsOf(tx, owner));
    this.#needs.set(owner, known);
    return known;
  }
}

/** Adds orders with what belongs to them; returns those that are new. */
async function add(tx: Tx, posted: readonly Posted[]): Promise<Posted[]> {
  const starts = await startsOf(
    tx,
    posted.map(({ row }) => row),
  );
  const rows = posted.flatMap(({ row }, n) => {
    const start = starts[n];
    return start === undefined ? [] : [{ ...row, ...start }];
  });
  const ids = await insertOrders(tx, rows);
  const added = posted.filter(({ row }) => ids.has(row.id));
  await keepNeeds(
    tx,
    added.map(({ spec }) => spec.uplet.needs),
  );
  await keepJobTerms(
    tx,
    added.flatMap(({ spec }) => (spec.kind === 'job' ? [spec.uplet] : [])),
  );
  return added;
}

/** What there is under the ids of orders that were not added: the same order, another one, or none where it was refused. */
async function lookUp(
  tx: Tx,
  posted: readonly Posted[],
  refused: ReadonlyMap<Posted, PlatformError>,
): Promise<[Posted, Settled<Placed>][]> {
  if (posted.length === 0) return [];
  const ids = [...new Set(posted.map(({ row }) => row.id))];
  const orders = new Map((await ordersOf(tx, ids)).map((row) => [row.id, row]));
  const removed = new Map((await removedOf(tx, ids)).map((row) => [row.id, row]));
  return posted.map((one) => {
    const { id, identity } = one.row;
    const order = orders.get(id);
    const existing = order ?? removed.get(id);
    if (existing?.identity === identity) {
      const spec = order === undefined ? undefined : specOf(order);
      return [one, { status: 'fulfilled', value: { isNew: false, spec } }];
    }
    const refusal = existing === undefined ? refused.get(one) : undefined;
    return [one, { status: 'rejected', reason: refusal ?? conflictOf(id) }];
  });
}

function conflictOf(id: string): PlatformError {
  return new PlatformError(
    'conflict',
    `There is another order with the uuid ${id}. Send the same body as before, or a new uuid.`,
  );
}
