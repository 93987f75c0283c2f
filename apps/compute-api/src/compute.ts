import type { Api, ComputeContract } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import type { Database } from '@morpheo/service/database';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { Tracer } from '@morpheo/service/trace';
import { createApi } from './api.ts';
import { createAttempts } from './attempts.ts';
import type { BackOff } from './back-off.ts';
import type { Systems } from './carry-out.ts';
import { createClaims } from './claims.ts';
import { createEndings } from './endings.ts';
import { Feed } from './feed.ts';
import { createInterventions } from './interventions.ts';
import { openJournal } from './journal.ts';
import { LogStore } from './log-store.ts';
import { createMeters } from './meters.ts';
import { OrderQueries } from './order-queries.ts';
import { OrderStore } from './order-store.ts';
import { OutboxStore } from './outbox-store.ts';
import { createPlacing } from './place.ts';
import { watchQueue } from './queue-figures.ts';
import { startReaper } from './reaper.ts';
import { startRelay } from './relay.ts';
import type { Schema } from './schema.ts';
import { tellChanges } from './tell-changes.ts';
import { CANCEL_TOPIC } from './wire.ts';
import { WorkerQueries } from './worker-queries.ts';
import { WorkerStore } from './worker-store.ts';

/** How patient compute-api is; times in milliseconds. */
export interface ComputeSettings {
  /** How long a worker holds an order without renewing. */
  readonly leaseMs: number;
  /** How often it is to renew. */
  readonly renewMs: number;
  /** How long an order waits for GPUs, while others take them, before a worker keeps them for it. */
  readonly gpuPatienceMs: number;
  /** How long an order waits until it has gained a level of priority: it holds for orders to come. */
  readonly ageingMs: number;
  /** How often an order is tried that the platform fails. */
  readonly attempts: number;
  /** Between two attempts. */
  readonly retryBackOff: BackOff;
  /** Between two tries of an effect (telling the orchestrator, publishing a result). */
  readonly effectBackOff: BackOff;
  /** How often the relay and the reaper look by themselves. */
  readonly everyMs: number;
}

/** What production uses where nothing else is said. */
export const COMPUTE_DEFAULTS: ComputeSettings = {
  leaseMs: 30_000,
  renewMs: 10_000,
  gpuPatienceMs: 60_000,
  ageingMs: 600_000,
  attempts: 5,
  retryBackOff: { firstMs: 2000, mostMs: 300_000 },
  effectBackOff: { firstMs: 500, mostMs: 60_000 },
  everyMs: 1000,
};

/** What is notified between the compute-apis on one database; the text is the id of the order. */
const NEWS = 'order_news';
const CHANGE = 'order_change';

/** The parts that compute-api works with; whoever opened them closes them, after it. */
export interface ComputeParts extends Systems {
  readonly database: Database<Schema>;
  readonly broker: Broker;
  readonly settings: ComputeSettings;
  readonly log: Log;
  /** Where what happens is counted; nowhere where absent. */
  readonly metrics?: Metrics | undefined;
  readonly tracer?: Tracer | undefined;
}

/** The running heart of compute-api: its API, and the loops that carry out what it decided. */
export interface Compute {
  readonly api: Api<ComputeContract>;
  /** Rejects while effects of a lane cannot be carried out; the reason in one line. */
  readonly checkEffects: (lane: 'storage' | 'orchestrator') => Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts it. */
export function startCompute(parts: ComputeParts): Compute {
  const { broker, settings, log, metrics = createMetrics() } = parts;
  const meters = createMeters(metrics);
  const tellChange = tellChanges(log);
  const journal = openJournal(parts.database, (change) => {
    meters.changed(change);
    tellChange(change);
  });
  const { database } = journal;
  watchQueue(metrics, { database, leaseMs: settings.leaseMs });
  const tell = parts.orchestrator !== undefined;
  const feed = new Feed();
  const store = new OrderStore(journal);
  const workers = new WorkerStore(database);
  const outbox = new OutboxStore(database);
  const endings = createEndings({ database, store, tell });
  const noted = (order: string): void => database.notify(NEWS, order);
  const relay = startRelay({
    ...parts,
    database,
    store,
    outbox,
    endings,
    backOff: settings.effectBackOff,
    everyMs: settings.everyMs,
    changed: noted,
  });
  const changed = (order: string): void => {
    database.notify(CHANGE, order);
  };
  // Of every compute-api on this database: whoever follows an order hears of it at once, and what an order's change
  // makes due is carried out by whichever relay comes first.
  const news = database.listen(NEWS, (order) => feed.announce(order));
  const changes = database.listen(CHANGE, (order) => {
    feed.announce(order);
    relay.wake();
  });
  const patience = { attempts: settings.attempts, backOff: settings.retryBackOff };
  const attempts = createAttempts({ database, store, endings, patience, noted, changed });
  const reaper = startReaper({
    ...{ database, store, attempts, everyMs: settings.everyMs, log, changed },
    tookOver: meters.tookOver,
  });
  const cancelled = (order: string): void => {
    broker.publish(CANCEL_TOPIC, order).catch((err: unknown) => {
      log.warn({ order, err }, 'Workers could not be told of a cancellation; they learn it when they renew');
    });
  };
  const api = createApi({
    database,
    store,
    workers,
    attempts,
    feed,
    settings,
    noted,
    changed,
    placing: createPlacing({ ...settings, database, store, announce: relay.announce }),
    claims: createClaims({ ...settings, database, store, workers, tell, changed }),
    interventions: createInterventions({ database, store, endings, changed, cancelled }),
    queries: new OrderQueries(database),
    workerQueries: new WorkerQueries(database, settings.leaseMs),
    logs: new LogStore(database, store),
  });
  return {
    api,
    checkEffects: async (lane) => await outbox.check(lane),
    async [Symbol.asyncDispose]() {
      changes[Symbol.dispose]();
      news[Symbol.dispose]();
      await reaper[Symbol.asyncDispose]();
      await relay[Symbol.asyncDispose]();
    },
  };
}
