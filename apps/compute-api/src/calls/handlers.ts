import { randomUUID } from 'node:crypto';
import {
  type Api,
  type Call,
  type CallRequest,
  type ComputeContract,
  isPlatformError,
  type OrderSpec,
  type Output,
  PlatformError,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase } from '../db/database.ts';
import { outputOf } from '../http/batch.ts';
import { ownerOf, shownOwner } from '../owners/owners.ts';
import { noteSeen } from '../workers/store.ts';
import type { CallDesk } from './desk.ts';
import { CALLS_CHANNEL, noteText } from './instances.ts';
import type { CallMetrics } from './metrics.ts';
import { askedCall, directsAlgo, jobOfCall, specOfCall, usesOf } from './request.ts';
import type { Held, Rights } from './rights.ts';
import type { RunnerBoard } from './runners.ts';
import { findWorker, type KnownWorker } from './workers.ts';

type Handlers = Pick<
  Api<ComputeContract>,
  'postCall' | 'listRunners' | 'retryRunner' | 'exchangeCalls' | 'relayCalls'
>;

/** What the handlers of calls work with. */
export interface CallParts {
  readonly database: ComputeDatabase;
  readonly settings: ComputeSettings;
  readonly desk: CallDesk;
  readonly rights: Rights;
  readonly board: RunnerBoard;
  readonly metrics: CallMetrics;
  readonly log: Log;
}

/** Takes in an order; resolves with what is kept of it. */
type Submit = (spec: OrderSpec, call: Call | undefined) => Promise<OrderSpec | undefined>;

/** The handlers of calls in warm runners. */
export function callHandlers(parts: CallParts, submit: Submit): Handlers {
  const { database, settings, desk, board } = parts;
  const find = workerFinder(database, settings.leaseMs / 3);
  return {
    postCall: async ({ headers, body }, call) => {
      refuseForeign(settings);
      if (prefersAsync(headers.prefer)) return await placeJob(parts, body, submit, call);
      return await answered(parts, body, call);
    },
    listRunners: async (_, call) => ({ items: await board.list(settings.leaseMs, call?.principal) }),
    retryRunner: async ({ params: { key } }, call) => {
      await board.demand(key, settings.leaseMs, call?.principal);
      database.notify(CALLS_CHANNEL, noteText({ retry: key }));
      return undefined;
    },
    exchangeCalls: async ({ params: { worker: id }, body }, call) => {
      refuseForeign(settings);
      const worker = await find(id, body.boot, call?.principal?.name ?? null);
      board.note(worker, body.runners);
      return await desk.exchange(worker, body, call?.signal);
    },
    relayCalls: async ({ body }) => await desk.relayed(body, body),
  };
}

/** RFC 7240 §4.1: a preference among others, perhaps with parameters. */
function prefersAsync(prefer = ''): boolean {
  return /(?:^|,)\s*respond-async\s*(?:[;,]|$)/i.test(prefer);
}

async function answered(
  { settings, desk, rights, metrics, log }: CallParts,
  request: CallRequest,
  call: Call | undefined,
): Promise<Output<ComputeContract['endpoints']['postCall']>> {
  const started = performance.now();
  const owner = ownerOf(request.owner, call?.principal);
  let failure: unknown;
  try {
    const uses = usesOf(request);
    using named = uses.length === 0 ? undefined : await rights.hold(owner, uses);
    const algo = named === undefined ? undefined : await algoOf(request, rights, named);
    const needsAlgo = algo !== undefined && directsAlgo(request);
    using whole = needsAlgo
      ? await rights.hold(owner, [...uses, { type: 'algo', uuid: algo, as: 'algo' }])
      : undefined;
    const held = whole ?? named;
    const { runMs } = settings.calls;
    const asked = askedCall(request, { spec: specOfCall(request, algo), owner, held, runMs });
    const given = { ...asked.given, owner: shownOwner(owner) };
    return await desk.call({ ...asked, given }, call?.signal);
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    const ms = performance.now() - started;
    metrics.ended(ms, failure);
    const outcome = failure === undefined ? 'done' : isPlatformError(failure) ? failure.code : 'internal';
    log.debug({ owner: shownOwner(owner), outcome, ms: Math.round(ms) }, 'A call was answered');
  }
}

async function algoOf({ algo, model }: CallRequest, rights: Rights, held: Held): Promise<string | undefined> {
  return model === undefined ? algo : await rights.algoOf(model, held);
}

/** The call as an order, which is answered later. */
async function placeJob(
  { rights }: CallParts,
  request: CallRequest,
  submit: Submit,
  call: Call | undefined,
): Promise<Output<ComputeContract['endpoints']['postCall']>> {
  const owner = ownerOf(request.owner, call?.principal);
  using held =
    request.model === undefined ? undefined : await rights.hold(owner, usesOf({ model: request.model }));
  const algo = held === undefined ? request.algo : await algoOf(request, rights, held);
  const job = jobOfCall(request, specOfCall(request, algo), randomUUID());
  const kept = await submit({ kind: 'job', uplet: job }, call);
  return { uuid: job.uuid, ...outputOf(kept) };
}

function refuseForeign({ foreignWorkers }: ComputeSettings): void {
  if (foreignWorkers === undefined) return;
  throw new PlatformError(
    'unavailable',
    'This compute-api gives its orders to workers of the original alone, which have no warm runners.',
  );
}

/** For so long what is known of a worker's process is not looked up again, in milliseconds. */
const KNOWN_MS = 1000;

/** Looks up workers as {@link findWorker} does, each once in a while; that they live is noted every `noteMs`. */
function workerFinder(database: ComputeDatabase, noteMs: number) {
  const known = new Map<
    string,
    { readonly worker: KnownWorker; readonly at: number; readonly notedAt: number }
  >();
  return async (id: string, boot: string, caller: string | null): Promise<KnownWorker> => {
    const key = JSON.stringify([id, boot, caller]);
    const now = performance.now();
    const found = known.get(key);
    if (found !== undefined && now - found.at < KNOWN_MS) return found.worker;
    const isNoted = found !== undefined && now - found.notedAt < noteMs;
    if (!isNoted) await database.write(async (tx) => await noteSeen(tx, { id, boot, caller }));
    const worker = await findWorker(database, { id, boot, caller });
    for (const [old, { notedAt }] of known) if (now - notedAt >= 2 * noteMs) known.delete(old);
    known.set(key, { worker, at: now, notedAt: isNoted ? found.notedAt : now });
    return worker;
  };
}
