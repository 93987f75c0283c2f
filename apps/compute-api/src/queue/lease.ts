import { hash } from 'node:crypto';
import type { Claim } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { type RawBuilder, sql } from 'kysely';
import type { AttemptRef } from '../attempts/fence.ts';
import { loseAttempts } from '../attempts/report.ts';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { policyOf } from '../disclosure/shown.ts';
import { type Pin, pinOf, specOf } from '../orders/store.ts';
import { shownOwner } from '../owners/owners.ts';
import { noteSeen, type WorkerProcess } from '../workers/store.ts';

/** An attempt that a worker holds, and what storage holds for its order. */
export type HeldAttempt = AttemptRef & { readonly pin: Pin | null };

/** What came of a renewal. */
export interface Renewal {
  readonly held: HeldAttempt[];
  readonly lost: (AttemptRef & { reason: 'cancelled' | 'stale' })[];
}

/** When a lease that is given now runs out. */
export function leaseUntil({ now }: Pick<Tx, 'now'>, leaseMs: number): RawBuilder<number> {
  return sql<number>`${now} + ${leaseMs}`;
}

/** A claimed order as its worker gets it, but for the ticket, which is signed by what storage holds. */
export interface Grant {
  readonly claim: Claim;
  readonly pin: Pin | null;
}

/** What the worker of a claimed order is granted. */
export function grantOf(row: OrderRow, leaseMs: number): Grant {
  const { id: order, attempt, gpus, trace } = row;
  const traced = trace === null ? {} : { traceparent: trace };
  const pin = pinOf(row);
  const claim = {
    ...{ order, attempt, spec: specOf(row), owner: shownOwner(row.owner), gpus, lease_ms: leaseMs },
    ...traced,
    ...(pin === null ? {} : audienceOf(row)),
    ...(pin?.inputs === undefined ? {} : { inputs: pin.inputs }),
  };
  return { claim, pin };
}

/** Whatever a program has seen in one order it may say in the next: all that get to see the one have to be those of the other. */
function audienceOf(checked: OrderRow): Pick<Claim, 'audience'> {
  const { hidden, readers, disclosure, canaries } = policyOf(checked);
  if (hidden) return {};
  const seen = [readers === 'everybody' ? readers : readers.toSorted(), disclosure, canaries];
  return { audience: hash('sha256', JSON.stringify(seen), 'hex').slice(0, 32) };
}

/** Renews what a worker still holds of `attempts`, and says what it has lost. Throws as {@link noteSeen} does. */
export async function renewLeases(
  database: ComputeDatabase,
  leaseMs: number,
  worker: WorkerProcess,
  attempts: readonly AttemptRef[],
): Promise<Renewal> {
  return await database.write(async (tx) => {
    await noteSeen(tx, worker);
    const renewal: Renewal = { held: [], lost: [] };
    for (const ref of attempts) {
      const held = await renew(tx, ref, worker, leaseMs);
      if (held !== undefined) renewal.held.push({ ...ref, pin: pinOf(held) });
      else renewal.lost.push({ ...ref, reason: await reasonOf(tx, ref) });
    }
    return renewal;
  });
}

async function renew(
  tx: Tx,
  { order, attempt }: AttemptRef,
  { id, boot }: WorkerProcess,
  leaseMs: number,
): Promise<Pick<OrderRow, 'pin'> | undefined> {
  return await tx.db
    .updateTable('orders')
    .set({ lease_until: leaseUntil(tx, leaseMs) })
    .where('id', '=', order)
    .where('attempt', '=', attempt)
    .where('worker', '=', id)
    .where('boot', '=', boot)
    .where('lease_until', 'is not', null)
    .returning('pin')
    .executeTakeFirst();
}

async function reasonOf({ db }: Tx, { order, attempt }: AttemptRef): Promise<'cancelled' | 'stale'> {
  const row = await db
    .selectFrom('orders')
    .select(['status', 'attempt'])
    .where('id', '=', order)
    .executeTakeFirst();
  return row?.status === 'cancelled' && row.attempt === attempt ? 'cancelled' : 'stale';
}

/** Starts to take orders back, every `everyMs`, from workers whose lease has run out. */
export function startReaper(options: {
  readonly database: ComputeDatabase;
  readonly settings: ComputeSettings;
  readonly log: Log;
  /** Called with how many orders were taken back at once. */
  readonly tookBack: (orders: number) => void;
}): Loop {
  const { database, settings, log, tookBack } = options;
  return startLoop({
    name: 'reaper',
    everyMs: settings.everyMs,
    log,
    work: async () => {
      for (;;) {
        const lost = await expireOverdue(database, settings);
        if (lost.length === 0) return;
        tookBack(lost.length);
        for (const { id: order, attempt, worker } of lost) {
          log.warn({ order, attempt, worker }, 'A lease ran out; the order is taken back');
        }
      }
    },
  });
}

async function expireOverdue(database: ComputeDatabase, settings: ComputeSettings): Promise<OrderRow[]> {
  return await database.write(async (tx) => {
    const overdue = await takeOverdue(tx);
    const why = settings.foreignWorkers === undefined ? 'renew its lease' : 'report';
    await loseAttempts(tx, settings, overdue, `it did not ${why} in time`);
    return overdue;
  });
}

/** At most 100 orders, the longest overdue first, locked; those that somebody else has locked are left to a later look. */
async function takeOverdue({ db, now }: Tx): Promise<OrderRow[]> {
  return await db
    .selectFrom('orders')
    .selectAll()
    .where('lease_until', 'is not', null)
    .where('lease_until', '<', now)
    .forUpdate()
    .skipLocked()
    .orderBy('lease_until')
    .limit(100)
    .execute();
}
