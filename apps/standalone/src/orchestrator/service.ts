import { computeClient } from '@morpheo/client';
import {
  type Api,
  type ComputeContract,
  isPlatformError,
  learnuplet,
  orchestratorContract,
  preduplet,
} from '@morpheo/common';
import { type Database, openSqlite } from '@morpheo/service/database';
import { type Authenticate, createHttpApp, listen } from '@morpheo/service/http';
import { startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { createOrchestratorApi } from './api.ts';
import { documents, migrations, type OrchestratorSchema } from './documents.ts';

/** What the stand-in orchestrator is opened with. */
export interface OrchestratorOptions {
  readonly host: string;
  readonly port: number;
  readonly databaseFile: string;
  /** Where orders are posted; asked at each use, and undefined until compute-api is open, which is later. */
  readonly compute: () => { url: string; credentials: { name: string; secret: string } } | undefined;
  readonly authenticate: Authenticate;
  readonly everyMs: number;
  readonly version: string;
  readonly log: Log;
}

/** An orchestrator that runs. */
export interface OrchestratorService {
  readonly url: string;
  drain(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens the stand-in orchestrator: it keeps what it is told, and orders rank n+1 when rank n is done. What is to be
 * ordered is a mark in its database, so that an order is posted though the process died after it was decided.
 */
export async function openOrchestrator(options: OrchestratorOptions): Promise<OrchestratorService> {
  const { log } = options;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(
    await openSqlite<OrchestratorSchema>({ file: options.databaseFile, migrations, log }),
  );
  const posting = stack.use(
    startLoop({
      name: 'orders to post',
      everyMs: options.everyMs,
      maxPauseMs: 5000,
      log,
      work: async () => {
        const compute = options.compute();
        if (compute !== undefined) await postOrders(database, computeClient(compute), log);
      },
    }),
  );
  const app = createHttpApp({
    contract: orchestratorContract,
    api: createOrchestratorApi(database, () => posting.wake()),
    info: { name: 'orchestrator', version: options.version },
    checks: { database: async (signal) => await database.ping(signal) },
    authenticate: options.authenticate,
    anonymousIntake: false,
    log,
  });
  const server = stack.use(await listen(app, options));
  const opened = stack.move();
  return {
    url: server.url,
    drain: () => server.drain(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function postOrders(
  database: Database<OrchestratorSchema>,
  compute: Api<ComputeContract>,
  log: Log,
): Promise<void> {
  for (const { collection, document } of await documents.toPost(database.read)) {
    try {
      if (collection === 'learnuplet') await compute.learn({ body: learnuplet.parse(document) });
      else await compute.pred({ body: preduplet.parse(document) });
    } catch (error) {
      if (!isPlatformError(error) || error.retry) throw error;
      log.error({ order: document.uuid, error }, 'compute-api refuses an order; it is not posted again');
    }
    await database.write(async (tx) => {
      const current = await documents.find(tx, collection, document.uuid);
      if (current !== undefined) await documents.replace(tx, collection, current, false);
    });
  }
}
