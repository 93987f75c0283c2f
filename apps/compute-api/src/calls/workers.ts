import { describeTerms, PlatformError } from '@morpheo/common';
import { sql } from 'kysely';
import type { ComputeDatabase } from '../db/database.ts';
import { isOfOthers, type WorkerProcess } from '../workers/store.ts';
import type { AskedCall } from './open-call.ts';
import type { StationIdentity } from './station.ts';

/** A process of a worker that has registered. */
export type KnownWorker = StationIdentity & { readonly name: string };

/**
 * Looks up a worker's process as claims do: throws `not_found` for a worker that never registered, `stale_attempt` for an
 * earlier process of it, `forbidden` for one of another caller.
 */
export async function findWorker(
  { read }: ComputeDatabase,
  { id, boot, caller }: WorkerProcess,
): Promise<KnownWorker> {
  const row = await read
    .selectFrom('workers')
    .select(['boot', 'caller', 'name', 'gpu_total'])
    .where('id', '=', id)
    .executeTakeFirst();
  if (row === undefined)
    throw new PlatformError('not_found', `Worker ${id} is not registered; register it first.`);
  if (caller !== null && row.caller !== null && row.caller !== caller) throw isOfOthers(id);
  if (row.boot !== boot)
    throw new PlatformError('stale_attempt', `Worker ${id} was started again: this process must stop.`);
  const offers = await read
    .selectFrom('offers')
    .select(['term', 'demanded'])
    .where('worker', '=', id)
    .execute();
  return {
    ...{ worker: id, boot, name: row.name, gpus: Number(row.gpu_total) },
    offers: offers.map(({ term }) => term),
    demands: offers.filter(({ demanded }) => Number(demanded) === 1).map(({ term }) => term),
  };
}

/**
 * Why no living worker could ever run a call, as `unavailable` with what is missing; undefined where one could. `leaseMs`:
 * one that was not heard of for so long counts as gone.
 */
export async function refusalOf(
  database: ComputeDatabase,
  { terms, given: { gpus } }: AskedCall,
  leaseMs: number,
): Promise<PlatformError | undefined> {
  const { read, now } = database;
  const workers = await read
    .selectFrom('workers')
    .select(['id', 'gpu_total'])
    .where('seen_at', '>', sql<number>`${now} - ${sql.lit(leaseMs)}`)
    .execute();
  const offers = await read
    .selectFrom('offers')
    .select(['worker', 'term', 'demanded'])
    .where('worker', 'in', ['', ...workers.map(({ id }) => id)])
    .where((is) => is.or([is('term', 'in', ['', ...terms]), is('demanded', '=', 1)]))
    .execute();
  const lacks = workers.map(({ id, gpu_total }) => {
    const its = offers.filter(({ worker }) => worker === id);
    const offered = new Set(its.map(({ term }) => term));
    return {
      terms: terms.filter((term) => !offered.has(term)),
      demands: its.filter((one) => Number(one.demanded) === 1 && !terms.includes(one.term)),
      gpus: Math.max(0, gpus - Number(gpu_total)),
    };
  });
  if (lacks.some((lack) => lack.terms.length === 0 && lack.demands.length === 0 && lack.gpus === 0))
    return undefined;
  return new PlatformError('unavailable', sentenceOf(lacks, terms, gpus));
}

function sentenceOf(
  lacks: readonly { readonly terms: readonly string[]; readonly demands: readonly { term: string }[] }[],
  terms: readonly string[],
  gpus: number,
): string {
  if (lacks.length === 0) return 'No worker is there that could run the call: start one.';
  const open = lacks.filter(({ demands }) => demands.length === 0);
  if (open.length === 0) {
    const demanded = [...new Set(lacks.flatMap(({ demands }) => demands.map(({ term }) => term)))];
    return `All workers that are there are dedicated to calls that need ${describeTerms(demanded)}: start another, or say that the call needs that.`;
  }
  const nearest = open.toSorted((a, b) => a.terms.length - b.terms.length)[0]?.terms ?? [];
  const missing = nearest.length > 0 ? describeTerms(nearest) : `${gpus} GPUs`;
  return `No worker offers all that the call needs (${describeTerms(terms)}); what is missing: ${missing}.`;
}
