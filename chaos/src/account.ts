import { isPlatformError, KIND_NAMES } from '@morpheo/common';
import { migrations, type Schema } from '@morpheo/compute-api';
import { type Database, openDatabase } from '@morpheo/service/database';
import { brokenPromises } from '@morpheo/simulation/invariants';
import type { Cluster } from './cluster/cluster.ts';
import type { Customers } from './customers.ts';
import { failedAsItsProgram } from './jobs.ts';
import type { Fault } from './trouble.ts';

/** The orders' database, as an onlooker reads it. */
export type Onlooker = Database<Schema>;

/** Opens it. */
export async function openOnlooker({ database }: Cluster): Promise<Onlooker> {
  const address = {
    host: database.host,
    port: database.port,
    database: database.database,
    user: database.user,
    password: database.password,
  };
  return await openDatabase<Schema>(
    { engine: 'postgres', address, poolSize: 2 },
    { migrations, owner: 'compute_api' },
  );
}

/** How many orders have not ended, or have effects that did not happen yet. */
export async function unsettled({ read }: Onlooker): Promise<number> {
  const open = await read
    .selectFrom('orders')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('status', 'not in', ['done', 'failed', 'cancelled'])
    .executeTakeFirstOrThrow();
  const due = await read
    .selectFrom('outbox')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(open.count) + Number(due.count);
}

/** How many orders are done. */
export async function done({ read }: Onlooker): Promise<number> {
  const { count } = await read
    .selectFrom('orders')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('status', '=', 'done')
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** What of the promise does not hold, a sentence each: in the database, on storage and with the orchestrator. */
export async function judge(cluster: Cluster, database: Onlooker, customers: Customers): Promise<string[]> {
  const results = await visibleResults(cluster, database);
  const { visible, toldFailed, strange } = results;
  const broken = await brokenPromises(
    { database, visible, toldFailed, heard: cluster.orchestrator.heard },
    customers,
  );
  return [...strange, ...broken];
}

/** Every result that storage shows, as the attempt that it is of; a sentence on each that is nobody's. */
async function visibleResults({ storageApis: [storage] }: Cluster, { read }: Onlooker) {
  if (storage === undefined) throw new Error('There is no storage.');
  const visible = new Map<string, number>();
  const toldFailed = new Set<string>();
  const strange: string[] = [];
  const orders = await read
    .selectFrom('orders')
    .select(['id', 'kind', 'status', 'attempt', 'model_end', 'result'])
    .execute();
  for (const order of orders) {
    const result =
      order.result === null ? undefined : (JSON.parse(order.result) as { uuid: string; sha256: string });
    const uuid = order.kind === 'learn' ? order.model_end : result?.uuid;
    if (uuid === null || uuid === undefined) continue;
    const type = KIND_NAMES[order.kind].result;
    const shown = await storage.get({ params: { type, uuid } }).catch((error: unknown) => {
      if (isPlatformError(error, 'not_found')) return undefined;
      throw error;
    });
    if (shown === undefined) continue;
    if (shown.sha256 !== result?.sha256)
      strange.push(`${order.id} shows other bytes than those of its result`);
    visible.set(order.id, order.attempt);
    if (shown.failed === true) toldFailed.add(order.id);
  }
  return { visible, toldFailed, strange };
}

/** How long a worker's loss kept its orders, in seconds: the slowest of each. */
export interface Takeovers {
  /** From the loss until the order was back in the queue. */
  readonly takenBackSeconds: number;
  /** From the loss until the next attempt: with the time that the order waited behind others. */
  readonly startedAgainSeconds: number;
}

/** The slowest takeovers after faults at workers. */
export async function slowestTakeovers({ read }: Onlooker, faults: readonly Fault[]): Promise<Takeovers> {
  const lost = await read.selectFrom('attempts').selectAll().where('outcome', '=', 'lost').execute();
  const attempts = await read.selectFrom('attempts').select(['order_id', 'attempt', 'started_at']).execute();
  const startedAt = new Map(
    attempts.map((one) => [`${one.order_id} ${one.attempt}`, Number(one.started_at)]),
  );
  const strikes = faults.filter(({ target }) => target.startsWith('worker')).map(({ at }) => at);
  const slowest = { takenBackSeconds: 0, startedAgainSeconds: 0 };
  for (const { order_id, attempt, started_at, ended_at } of lost) {
    const struck = strikes.filter((at) => at >= Number(started_at) - 1000 && at <= Number(ended_at)).at(-1);
    const next = startedAt.get(`${order_id} ${attempt + 1}`);
    if (struck === undefined || next === undefined) continue;
    slowest.takenBackSeconds = Math.max(slowest.takenBackSeconds, (Number(ended_at) - struck) / 1000);
    slowest.startedAgainSeconds = Math.max(slowest.startedAgainSeconds, (next - struck) / 1000);
  }
  return slowest;
}

/** How many attempts ended how. */
export async function attemptsByOutcome({ read }: Onlooker): Promise<Record<string, number>> {
  const rows = await read
    .selectFrom('attempts')
    .select(({ fn }) => ['outcome', fn.countAll<number>().as('count')])
    .groupBy('outcome')
    .execute();
  return Object.fromEntries(rows.map(({ outcome, count }) => [outcome ?? 'open', Number(count)]));
}

/** Why orders failed, but for jobs whose program does. */
export async function failuresOf({ read }: Onlooker, { jobs }: Pick<Customers, 'jobs'>): Promise<string[]> {
  const placed = new Map(jobs.map((one) => [one.body.uuid, one]));
  const rows = await read
    .selectFrom('orders')
    .select(['id', 'failure'])
    .where('status', '=', 'failed')
    .execute();
  return rows.flatMap(({ id, failure }) => {
    const job = placed.get(id);
    return job !== undefined && failedAsItsProgram(failure, job) ? [] : `${id} ${failure}`;
  });
}
