import {
  type Api,
  type Call,
  type Claim,
  type ComputeContract,
  PlatformError,
  RUNTIMES,
  termsOf,
  warmTerm,
} from '@morpheo/common';
import type { SignTicket } from '@morpheo/service/http';
import { countedLines, teller } from '../attempts/events.ts';
import type { CalledAttempt } from '../attempts/fence.ts';
import { register } from '../attempts/register.ts';
import { reportAttempt } from '../attempts/report.ts';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase } from '../db/database.ts';
import { gatherClaims } from '../queue/claim.ts';
import { type Grant, grantOf, renewLeases } from '../queue/lease.ts';
import { ticketFor } from '../queue/tickets.ts';

type Handlers = Pick<
  Api<ComputeContract>,
  | 'registerWorker'
  | 'claimOrder'
  | 'renewLeases'
  | 'noteEvents'
  | 'noteStep'
  | 'appendLog'
  | 'noteMetrics'
  | 'reportAttempt'
>;

/** The handlers of the calls between a worker and compute-api; where nobody signs tickets, attempts get none. */
export function attemptHandlers(
  database: ComputeDatabase,
  settings: ComputeSettings,
  signTicket: SignTicket | undefined,
): Handlers {
  const { leaseMs, renewMs, foreignWorkers } = settings;
  const refuseOurs = (): void => {
    if (foreignWorkers === undefined) return;
    throw new PlatformError(
      'wrong_state',
      'This compute-api gives its orders to workers of the original alone: stop this worker, or start compute-api without --foreign-workers once those are stopped.',
    );
  };
  const claim = gatherClaims(database, settings);
  const ticketed = async ({ claim, pin }: Grant): Promise<Claim> => {
    const { order, attempt } = claim;
    return { ...claim, ...(await ticketFor({ order, attempt, pin }, leaseMs, signTicket)) };
  };
  const tell = teller(database);
  return {
    registerWorker: async ({ params, body }, call) => {
      refuseOurs();
      const {
        slots,
        gpus = NO_GPUS,
        resume,
        arch,
        warm = [],
        labels,
        dedicated = [],
        moved = false,
        ...rest
      } = body;
      const runtime = RUNTIMES.find((known) => known === body.runtime);
      const worker = {
        id: params.worker,
        caller: callerOf(call),
        ...rest,
        gpu_total: gpus.devices.length,
        gpu_slots: gpus.slots,
        gpus: JSON.stringify(gpus.devices),
        learn_slots: slots.learn,
        predict_slots: slots.predict,
        job_slots: slots.job ?? 0,
        offers: [...termsOf({ runtime, arch, labels }), ...new Set(warm.map(warmTerm))],
        demands: demandsOf(dedicated, labels),
        moved,
      };
      const granted = await register(database, settings, worker, resume ?? []);
      const resumed = await Promise.all(granted.map(ticketed));
      return { lease_ms: leaseMs, renew_ms: renewMs, ...(resume === undefined ? {} : { resumed }) };
    },
    claimOrder: async ({ params: { worker }, body: { boot, kinds, free_gpus: gpus = 0, most } }, call) => {
      refuseOurs();
      const process = { id: worker, boot, caller: callerOf(call) };
      const one = Object.fromEntries(kinds.map((kind) => [kind, 1]));
      const room =
        most === undefined ? one : Object.fromEntries(kinds.map((kind) => [kind, most[kind] ?? 0]));
      const all = Object.values(room).reduce((sum, places) => sum + places, 0);
      const claimed = await claim({ process, room, most: most === undefined ? 1 : all, gpus });
      const claims = await Promise.all(
        claimed.orders.map(async (order) => await ticketed(grantOf(order, leaseMs))),
      );
      const [first = null] = claims;
      return most === undefined ? { claim: first } : { claim: first, claims, more: claimed.more };
    },
    renewLeases: async ({ params, body: { boot, attempts } }, call) => {
      const process = { id: params.worker, boot, caller: callerOf(call) };
      const renewal = await renewLeases(database, leaseMs, process, attempts);
      const held = renewal.held.map(async ({ pin, ...ref }) => ({
        ...ref,
        ...(await ticketFor({ ...ref, pin }, leaseMs, signTicket)),
      }));
      return { held: await Promise.all(held), lost: renewal.lost, lease_ms: leaseMs };
    },
    noteEvents: async ({ params, body: { events } }, call) => {
      await tell({ ref: called(params, call), events });
      return undefined;
    },
    noteStep: async ({ params, body }, call) => {
      await tell({ ref: called(params, call), events: [body] });
      return undefined;
    },
    appendLog: async ({ params, body: { chunks } }, call) => {
      const events = chunks.map((chunk) => ({ what: 'log' as const, ...chunk }));
      await tell({ ref: called(params, call), events });
      return undefined;
    },
    noteMetrics: async ({ params, body }, call) => {
      const ref = called(params, call);
      await tell({ ref, events: [{ what: 'metrics', ...body }] });
      return { next: await countedLines(database, ref) };
    },
    reportAttempt: async ({ params, body }, call) => ({
      status: await reportAttempt(database, settings, called(params, call), body),
    }),
  };
}

/** Null where nobody is asked for credentials. */
function callerOf(call: Call | undefined): string | null {
  return call?.principal?.name ?? null;
}

function called({ id, attempt }: { id: string; attempt: number }, call: Call | undefined): CalledAttempt {
  return { order: id, attempt, caller: callerOf(call) };
}

/** The terms that a worker is dedicated to. Throws `invalid_request` for a key of which it offers no label. */
function demandsOf(dedicated: readonly string[], labels: Readonly<Record<string, string>> = {}): string[] {
  const missing = dedicated.find((key) => labels[key] === undefined);
  if (missing !== undefined)
    throw new PlatformError(
      'invalid_request',
      `A worker may be dedicated to its own labels alone, and has no label ${missing}.`,
    );
  return termsOf({ labels: Object.fromEntries(dedicated.map((key) => [key, labels[key] ?? ''])) });
}

const NO_GPUS = { devices: [], slots: 1 };
