import type { Api, ComputeContract } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import type { Database } from '@morpheo/service/database';
import type { SignTicket } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { Tracer } from '@morpheo/service/trace';
import { CallDesk } from './calls/desk.ts';
import { CALLS_CHANNEL, Instances, type ReachInstance, retriesIn } from './calls/instances.ts';
import { measureCalls } from './calls/metrics.ts';
import { type AskByTicket, Rights } from './calls/rights.ts';
import { RunnerBoard } from './calls/runners.ts';
import { refusalOf } from './calls/workers.ts';
import type { ComputeSettings } from './config.ts';
import { ComputeDatabase } from './db/database.ts';
import type { Schema } from './db/schema.ts';
import { type ForeignApi, foreignHandlers } from './foreign/handlers.ts';
import { GroupActions } from './groups/actions.ts';
import { GroupFollowers } from './groups/follow.ts';
import { createHandlers } from './http/handlers.ts';
import { countChanges, countRemovals, countTakeovers } from './observe/metrics.ts';
import { measureQueue } from './observe/queue-metrics.ts';
import { broadcastCancellations, CHANNELS, logChanges, notifyOf } from './orders/changes.ts';
import { Followers } from './orders/follow.ts';
import { Dispatcher } from './outbox/dispatcher.ts';
import type { Lane, Systems } from './outbox/effects.ts';
import { checkEffects } from './outbox/store.ts';
import { OpenOrders } from './owners/open-orders.ts';
import { startReaper } from './queue/lease.ts';
import { keepRemoving, Retention } from './retention/retention.ts';
import { SearchFollowers } from './searches/follow.ts';
import { Searches } from './searches/searches.ts';

/** The parts that compute-api works with; whoever opened them closes them, after it. */
export interface ComputeParts extends Systems {
  readonly database: Database<Schema>;
  readonly broker: Broker;
  readonly settings: ComputeSettings;
  readonly log: Log;
  /** Signs what workers show to storage; absent: they show their own credentials. */
  readonly signTicket?: SignTicket | undefined;
  /** Asks storage by a ticket; absent where nobody is asked for credentials there. */
  readonly askByTicket?: AskByTicket | undefined;
  /** Reaches other compute-apis on the database; absent where this one is alone, or does not say where it is reached. */
  readonly reachInstance?: ReachInstance | undefined;
  /** Where what happens is counted; nowhere where absent. */
  readonly metrics?: Metrics | undefined;
  readonly tracer?: Tracer | undefined;
}

/** The running heart of compute-api: its API, and the loops that carry out what it decided. */
export interface Compute {
  readonly api: Api<ComputeContract>;
  /** The calls of workers of the originals; absent where orders are not for them. */
  readonly foreign: ForeignApi | undefined;
  /** Rejects while effects of a lane cannot be carried out; the reason in one line. */
  readonly checkEffects: (lane: Lane) => Promise<void>;
  /** Ends the calls in warm runners, and lets go of workers that wait for some: before the service drains. */
  readonly endCalls: () => void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts it. */
export function startCompute(parts: ComputeParts): Compute {
  const { broker, settings, log, metrics = createMetrics() } = parts;
  const lanes: Lane[] = [
    'orders',
    'storage',
    'callback',
    ...(parts.orchestrator === undefined ? [] : ['orchestrator' as const]),
  ];
  const database = new ComputeDatabase(parts.database, lanes);
  database.onCommitted(countChanges(metrics));
  database.onCommitted(logChanges(log));
  database.onCommitted(notifyOf(database));
  database.onCommitted(broadcastCancellations(broker, log));
  measureQueue(metrics, database, settings.leaseMs);
  const followers = new Followers(database);
  const groupFollowers = new GroupFollowers(database);
  const openOrders = new OpenOrders({ database, most: settings.openOrders });
  const groupActions = new GroupActions({ database, openOrders, settings, log });
  const searches = new Searches({ database, openOrders, settings, log });
  const searchFollowers = new SearchFollowers(database);
  const dispatcher = new Dispatcher({ ...parts, database });
  database.relayBy(dispatcher);
  database.onCommitted(({ event }) => {
    if (event === 'released') dispatcher.publish();
  });
  const retention = new Retention({
    ...{ database, storage: parts.storage, settings: settings.retention, log },
    removed: countRemovals(metrics),
  });
  const removals = keepRemoving(retention, { everyMs: settings.retention.everyMs, log });
  const reaper = startReaper({ database, settings, log, tookBack: countTakeovers(metrics) });
  // Of every compute-api on this database: whoever follows an order hears of it at once. What a change makes due, the
  // dispatcher of the process that made it carries out; if that dies, another does a little later.
  const news = parts.database.listen(CHANNELS.news, (order) => followers.announce(order));
  const changes = parts.database.listen(
    CHANNELS.change,
    (order) => followers.announce(order),
    () => dispatcher.wake(),
  );
  const groupNews = parts.database.listen(CHANNELS.group, (key) => groupFollowers.announce(key));
  const searchNews = parts.database.listen(CHANNELS.search, (id) => searchFollowers.announce(id));
  const { signTicket } = parts;
  const calls = openCalls(parts, database, metrics);
  return {
    api: createHandlers({
      database,
      settings,
      openOrders,
      followers,
      groupActions,
      groupFollowers,
      searches,
      searchFollowers,
      retention,
      calls,
      signTicket,
    }),
    endCalls: () => calls.desk.close(),
    foreign:
      settings.foreignWorkers === undefined ? undefined : foreignHandlers(database, settings.foreignWorkers),
    checkEffects: async (lane) => await checkEffects(database, lane),
    async [Symbol.asyncDispose]() {
      await calls[Symbol.asyncDispose]();
      searchNews[Symbol.dispose]();
      groupNews[Symbol.dispose]();
      changes[Symbol.dispose]();
      news[Symbol.dispose]();
      await searches[Symbol.asyncDispose]();
      await groupActions[Symbol.asyncDispose]();
      await removals[Symbol.asyncDispose]();
      await reaper[Symbol.asyncDispose]();
      await dispatcher[Symbol.asyncDispose]();
    },
  };
}

/** What calls in warm runners are kept in; with the other compute-apis, where they can reach this one. */
function openCalls(
  { database: opened, settings, storage, signTicket, askByTicket, reachInstance: reach, log }: ComputeParts,
  database: ComputeDatabase,
  metrics: Metrics,
) {
  const { calls, leaseMs } = settings;
  const desk = new CallDesk({
    settings: calls,
    refusal: async (asked) => await refusalOf(database, asked, leaseMs),
  });
  const rights = new Rights({ storage, signTicket, askByTicket, decisionMs: calls.decisionMs, log });
  const board = new RunnerBoard(database, log);
  const { advertiseUrl } = calls;
  const others =
    advertiseUrl === undefined || reach === undefined
      ? undefined
      : new Instances({ desk, database: opened, settings: { ...calls, advertiseUrl }, reach, log });
  desk.peers = others;
  const retries = opened.listen(CALLS_CHANNEL, (text) => retriesIn(text, (key) => desk.retry(key)));
  return {
    ...{ database, settings, desk, rights, board, log },
    metrics: measureCalls(metrics, () => desk.counts()),
    async [Symbol.asyncDispose]() {
      retries[Symbol.dispose]();
      others?.[Symbol.dispose]();
      desk.close();
      await rights[Symbol.asyncDispose]();
      await board[Symbol.asyncDispose]();
    },
  };
}
