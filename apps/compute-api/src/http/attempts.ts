import type { Api, Claim, ComputeContract } from '@morpheo/common';
import type { SignTicket } from '@morpheo/service/http';
import { appendLog } from '../attempts/log-store.ts';
import { register } from '../attempts/register.ts';
import { noteStep, reportAttempt } from '../attempts/report.ts';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase } from '../db/database.ts';
import { claimOrder } from '../queue/claim.ts';
import { type Grant, grantOf, renewLeases } from '../queue/lease.ts';
import { ticketFor } from '../queue/tickets.ts';

type Handlers = Pick<
  Api<ComputeContract>,
  'registerWorker' | 'claimOrder' | 'renewLeases' | 'noteStep' | 'appendLog' | 'reportAttempt'
>;

/** The handlers of the calls between a worker and compute-api; where nobody signs tickets, attempts get none. */
export function attemptHandlers(
  database: ComputeDatabase,
  settings: ComputeSettings,
  signTicket: SignTicket | undefined,
): Handlers {
  const { leaseMs, renewMs } = settings;
  const ticketed = async ({ claim, pin }: Grant): Promise<Claim> => {
    const { order, attempt } = claim;
    return { ...claim, ...(await ticketFor({ order, attempt, pin }, leaseMs, signTicket)) };
  };
  return {
    registerWorker: async ({ params, body }) => {
      const { slots, gpus = NO_GPUS, resume, ...rest } = body;
      const worker = {
        id: params.worker,
        ...rest,
        gpu_total: gpus.devices.length,
        gpu_slots: gpus.slots,
        gpus: JSON.stringify(gpus.devices),
        learn_slots: slots.learn,
        predict_slots: slots.predict,
      };
      const granted = await register(database, settings, worker, resume ?? []);
      const resumed = await Promise.all(granted.map(ticketed));
      return { lease_ms: leaseMs, renew_ms: renewMs, ...(resume === undefined ? {} : { resumed }) };
    },
    claimOrder: async ({ params: { worker }, body: { boot, kinds, free_gpus = 0 } }) => {
      const offer = { kinds, gpus: free_gpus };
      const claimed = await claimOrder(database, settings, { id: worker, boot }, offer);
      return { claim: claimed === null ? null : await ticketed(grantOf(claimed, leaseMs)) };
    },
    renewLeases: async ({ params, body: { boot, attempts } }) => {
      const renewal = await renewLeases(database, leaseMs, { id: params.worker, boot }, attempts);
      const held = renewal.held.map(async ({ pin, ...ref }) => ({
        ...ref,
        ...(await ticketFor({ ...ref, pin }, leaseMs, signTicket)),
      }));
      return { held: await Promise.all(held), lost: renewal.lost, lease_ms: leaseMs };
    },
    noteStep: async ({ params, body }) => {
      await noteStep(database, { order: params.id, attempt: params.attempt }, body);
      return undefined;
    },
    appendLog: async ({ params, body }) => {
      await appendLog(database, { order: params.id, attempt: params.attempt }, body.chunks);
      return undefined;
    },
    reportAttempt: async ({ params, body }) => {
      const ref = { order: params.id, attempt: params.attempt };
      return { status: await reportAttempt(database, settings, ref, body) };
    },
  };
}

const NO_GPUS = { devices: [], slots: 1 };
