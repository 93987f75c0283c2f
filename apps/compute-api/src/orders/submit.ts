import { createHash } from 'node:crypto';
import { type Call, hasEnded, type OrderSpec, PlatformError } from '@morpheo/common';
import { concerns, currentTraceparent, span } from '@morpheo/service/trace';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { refuseUnfit } from '../foreign/limits.ts';
import { joinGroup, takeGroup } from '../groups/store.ts';
import type { OpenOrders } from '../owners/open-orders.ts';
import { ownerOf } from '../owners/owners.ts';
import { findRemoved } from '../retention/removed-orders.ts';
import { keepJobTerms } from './job-terms.ts';
import { kindOf } from './kinds.ts';
import { boundNeeds, keepNeeds, needsIdOf } from './needs.ts';
import { brokenCallbackRule, brokenDataRule } from './rules.ts';
import { insertOrder, makerOf, specOf, startModelOf, takeOrder } from './store.ts';

/**
 * Takes in an order, and resolves once it is on disk with what is kept of it, unless that was removed since; storage is asked for what it names afterwards. The same order
 * again changes nothing, also for a while after it was removed; the same id with another body throws
 * `conflict`, a broken rule `invalid_order`, an owner that the caller may not name `forbidden`, a group that is full or was
 * cancelled `wrong_state`, an order beyond those that its owner may have open `rate_limited`, and where orders are for
 * foreign workers, what is too large for their queue `too_large`.
 */
export async function submitOrder(
  database: ComputeDatabase,
  openOrders: OpenOrders,
  {
    ageingMs,
    orderData,
    callbacks,
    foreignWorkers,
  }: Pick<ComputeSettings, 'ageingMs' | 'orderData' | 'callbacks' | 'foreignWorkers'>,
  posted: OrderSpec,
  principal: Call['principal'],
): Promise<OrderSpec | undefined> {
  const kind = kindOf(posted.kind);
  const broken =
    kind.brokenRule(posted) ?? brokenDataRule(posted, orderData) ?? brokenCallbackRule(posted, callbacks);
  if (broken !== undefined) throw new PlatformError('invalid_order', `Invalid ${kind.wireName}: ${broken}`);
  if (foreignWorkers !== undefined) refuseUnfit(posted);
  const owner = ownerOf(posted.uplet.owner, principal);
  concerns(posted.uplet.uuid);
  const spec = kind.completed(posted);
  const { uuid: id, priority = 0, gpus = null, needs, group = null } = spec.uplet;
  const row = {
    ...{ id, kind: spec.kind, spec: JSON.stringify(spec), identity: identityOf(posted, owner) },
    ...kind.columnsOf(spec),
    ...{ gpus, needs: needsIdOf(needs), owner, priority, group_name: group, aheadMs: priority * ageingMs },
  };
  return await span('place order', { kind: spec.kind }, async () => {
    const trace = currentTraceparent() ?? null;
    using place = await openOrders.place(owner);
    if (place.refusal !== undefined && !(await isKnown(database, id))) throw place.refusal;
    const kept = await database.write(async (tx) => {
      // Before any order, as all do that take both: else two would wait for each other.
      const joined = group === null ? undefined : await takeGroup(tx, { owner, name: group });
      const start = await startOf(tx, row);
      if (await insertOrder(tx, { ...row, ...start, trace })) {
        await keepNeeds(tx, needs);
        if (spec.kind === 'job') await keepJobTerms(tx, spec.uplet);
        await boundNeeds(tx, row);
        if (joined !== undefined) await joinGroup(tx, joined);
        return { isNew: true, spec };
      }
      const existing = (await takeOrder(tx, id)) ?? (await findRemoved(tx, id));
      if (existing?.identity === row.identity)
        return { isNew: false, spec: 'spec' in existing ? specOf(existing) : undefined };
      throw new PlatformError(
        'conflict',
        `There is another order with the uuid ${id}. Send the same body as before, or a new uuid.`,
      );
    });
    if (kept.isNew) place.keep();
    return kept.spec;
  });
}

/** Whether there is, or was, an order of this id. */
async function isKnown({ read }: ComputeDatabase, id: string): Promise<boolean> {
  const order = await read.selectFrom('orders').select('id').where('id', '=', id).executeTakeFirst();
  return (order ?? (await findRemoved({ db: read }, id))) !== undefined;
}

/** How an order begins: it waits for the order that is to make its start model, or else for storage to check it. */
export async function startOf(
  tx: Tx,
  order: Pick<OrderRow, 'owner' | 'model' | 'model_start'>,
): Promise<Pick<OrderRow, 'status' | 'waits_for'>> {
  const model = startModelOf(order);
  const maker = model === null ? undefined : await makerOf(tx, model, order.owner);
  if (maker === undefined || hasEnded(maker.status)) return { status: 'waiting', waits_for: null };
  return { status: 'waiting', waits_for: maker.id };
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
  return createHash('sha256')
    .update(JSON.stringify(kind === 'job' ? [kind, sorted, owner] : [kind, sorted]))
    .digest('hex');
}
