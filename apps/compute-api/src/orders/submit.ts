import { hash } from 'node:crypto';
import {
  type Call,
  gather,
  isPlatformError,
  type OrderSpec,
  PlatformError,
  type Settled,
} from '@morpheo/common';
import { concerns, currentTraceparent, outOfScope, span } from '@morpheo/service/trace';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase } from '../db/database.ts';
import { refuseUnfit } from '../foreign/limits.ts';
import type { OpenOrders, Place } from '../owners/open-orders.ts';
import { ownerOf } from '../owners/owners.ts';
import { removedOf } from '../retention/removed-orders.ts';
import { kindOf } from './kinds.ts';
import { needsIdOf } from './needs.ts';
import { type Placed, type Posted, placeOrders } from './place.ts';
import { brokenCallbackRule, brokenDataRule } from './rules.ts';
import { ordersOf } from './store.ts';

/** Takes orders in; see {@link createIntake}. */
export interface Intake {
  /** Takes in one order, with those that come at the same time. */
  submit(posted: OrderSpec, principal: Call['principal']): Promise<OrderSpec | undefined>;
  /**
   * Takes in at most {@link TOGETHER} orders of one caller, as if they came one after another: one may start from the
   * model that an earlier one makes.
   */
  submitMany(
    posted: readonly OrderSpec[],
    principal: Call['principal'],
  ): Promise<Settled<OrderSpec | undefined>[]>;
}

/** So many orders are placed by one transaction at the most: bounds how long it holds up the others. */
export const TOGETHER = 500;
/**
 * So many transactions place orders at once: while one waits for the disk, the next is carried out. More would only have
 * fewer orders each.
 */
const ROUNDS = 2;

/** What of the settings orders are checked by. */
export type IntakeSettings = Pick<ComputeSettings, 'ageingMs' | 'orderData' | 'callbacks' | 'foreignWorkers'>;

/**
 * Takes in orders, and resolves once they are on disk with what is kept of each, unless that was removed since; storage
 * is asked for what they name afterwards. Those that come while others are being placed are placed together. The same order
 * again changes nothing, also for a while after it was removed; the same id with another body throws
 * `conflict`, a broken rule `invalid_order`, an owner that the caller may not name `forbidden`, a group that is full or was
 * cancelled `wrong_state`, an order beyond those that its owner may have open `rate_limited`, and where orders are for
 * foreign workers, what is too large for their queue `too_large`.
 */
export function createIntake(
  database: ComputeDatabase,
  openOrders: OpenOrders,
  settings: IntakeSettings,
): Intake {
  const round = async (posted: readonly Posted[]) => await outOfScope(() => placeRound(database, posted));
  const place = gather(round, { most: TOGETHER, rounds: ROUNDS });
  return {
    async submit(spec, principal) {
      const posted = toPost(spec, principal, settings);
      concerns(posted.row.id);
      return await span('place order', { kind: spec.kind }, async () => {
        using held = await openOrders.place(posted.row.owner);
        if (held.refusal !== undefined && !(await known(database, [posted])).has(posted.row.id))
          throw held.refusal;
        const placed = await place({
          ...posted,
          row: { ...posted.row, trace: currentTraceparent() ?? null },
        });
        if (placed.isNew) held.keep();
        return placed.spec;
      });
    },
    async submitMany(specs, principal) {
      return await span('place orders', { orders: specs.length }, () =>
        submitMany(specs, principal, { database, openOrders, settings, round }),
      );
    },
  };
}

async function submitMany(
  specs: readonly OrderSpec[],
  principal: Call['principal'],
  {
    database,
    openOrders,
    settings,
    round,
  }: {
    readonly database: ComputeDatabase;
    readonly openOrders: OpenOrders;
    readonly settings: IntakeSettings;
    readonly round: (posted: readonly Posted[]) => Promise<readonly Settled<Placed>[]>;
  },
): Promise<Settled<OrderSpec | undefined>[]> {
  const trace = currentTraceparent() ?? null;
  using held = new DisposableStack();
  const ready = await Promise.all(
    specs.map(async (spec): Promise<Settled<{ posted: Posted; place: Place }>> => {
      try {
        const { row, ...posted } = toPost(spec, principal, settings);
        const place = held.use(await openOrders.place(row.owner));
        return { status: 'fulfilled', value: { posted: { ...posted, row: { ...row, trace } }, place } };
      } catch (reason) {
        return { status: 'rejected', reason };
      }
    }),
  );
  const wanted = ready.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const isFull = wanted.some(({ place }) => place.refusal !== undefined);
  const there = isFull
    ? await known(
        database,
        wanted.map(({ posted }) => posted),
      )
    : new Set();
  const isThere = ({ posted }: { readonly posted: Posted }) => there.has(posted.row.id);
  // Those that are there need no room, and leave theirs to others.
  for (const one of wanted) if (isThere(one)) one.place[Symbol.dispose]();
  const given = await Promise.all(
    wanted.map(async (one) => {
      if (one.place.refusal === undefined || isThere(one)) return one;
      return { ...one, place: held.use(await openOrders.place(one.posted.row.owner)) };
    }),
  );
  const placing = given.filter((one) => one.place.refusal === undefined || isThere(one));
  const placed = await round(placing.map(({ posted }) => posted));
  for (const [n, { place }] of placing.entries()) {
    const outcome = placed[n];
    if (outcome?.status === 'fulfilled' && outcome.value.isNew) place.keep();
  }
  const outcomes = new Map(placing.map(({ posted }, n) => [posted, placed[n]]));
  return ready.map((one) => {
    if (one.status === 'rejected') return one;
    const outcome = outcomes.get(one.value.posted);
    if (outcome === undefined) return { status: 'rejected', reason: one.value.place.refusal };
    return outcome.status === 'rejected' ? outcome : { status: 'fulfilled', value: outcome.value.spec };
  });
}

function toPost(posted: OrderSpec, principal: Call['principal'], settings: IntakeSettings): Posted {
  return postedOf(posted, ownerOf(posted.uplet.owner, principal), settings);
}

/**
 * An order of an owner, who is named as it is kept, as it is to be placed. Throws `invalid_order` where it breaks a rule
 * that can be checked without the database.
 */
export function postedOf(
  posted: OrderSpec,
  owner: string,
  { ageingMs, orderData, callbacks, foreignWorkers }: IntakeSettings,
): Posted {
  const kind = kindOf(posted.kind);
  const broken =
    kind.brokenRule(posted) ?? brokenDataRule(posted, orderData) ?? brokenCallbackRule(posted, callbacks);
  if (broken !== undefined) throw new PlatformError('invalid_order', `Invalid ${kind.wireName}: ${broken}`);
  if (foreignWorkers !== undefined) refuseUnfit(posted);
  const spec = kind.completed(posted);
  const { uuid: id, priority = 0, gpus = null, needs, group: group_name = null } = spec.uplet;
  const row = {
    ...{ id, kind: spec.kind, spec: JSON.stringify(spec), identity: identityOf(posted, owner) },
    ...kind.columnsOf(spec),
    ...{
      gpus,
      needs: needsIdOf(needs),
      owner,
      priority,
      group_name,
      ahead_ms: priority * ageingMs,
      trace: null,
    },
  };
  return { spec, row };
}

/** Places orders in one transaction; what one of them may have broken is not the fault of the others. */
async function placeRound(
  database: ComputeDatabase,
  posted: readonly Posted[],
): Promise<readonly Settled<Placed>[]> {
  const place = (some: readonly Posted[]) => database.write(async (tx) => await placeOrders(tx, some));
  try {
    return posted.length === 0 ? [] : await place(posted);
  } catch (error) {
    if (posted.length === 1 || isPlatformError(error)) throw error;
    const alone = await Promise.allSettled(posted.map(async (one) => await place([one])));
    return alone.flatMap((one) => (one.status === 'fulfilled' ? one.value : [one]));
  }
}

/** The ids among those of these orders under which there is, or was, an order. */
async function known({ read: db }: ComputeDatabase, posted: readonly Posted[]): Promise<Set<string>> {
  const ids = posted.map(({ row }) => row.id);
  const rows = [...(await ordersOf({ db }, ids)), ...(await removedOf({ db }, ids))];
  return new Set(rows.map(({ id }) => id));
}

const BOOKKEEPING: ReadonlySet<string> = new Set(['status', 'worker', 'timestamp_request', 'timestamp_done']);

/**
 * What makes an order the same order, as a SHA-256: its kind and everything that was posted but the bookkeeping of
 * its sender (status, worker, times), which may differ when the same order is sent again. Of a job its owner counts too: who
 * guesses the body of another's, which is not shown to them, is not told so.
 */
function identityOf({ kind, uplet }: OrderSpec, owner: string): string {
  const posted = Object.entries(uplet).filter(([key]) => !BOOKKEEPING.has(key));
  const sorted = Object.fromEntries(posted.sort(([a], [b]) => (a < b ? -1 : 1)));
  return hash('sha256', JSON.stringify(kind === 'job' ? [kind, sorted, owner] : [kind, sorted]), 'hex');
}
