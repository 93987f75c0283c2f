import type { Api, ComputeContract } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Attempts } from './attempts.ts';
import type { Claims } from './claims.ts';
import type { LogStore } from './log-store.ts';
import type { OrderStore } from './order-store.ts';
import { createRegistration } from './registration.ts';
import type { Schema } from './schema.ts';
import type { WorkerStore } from './worker-store.ts';

/** What the handlers for workers work with. */
export interface AttemptParts {
  readonly database: Database<Schema>;
  readonly store: OrderStore;
  readonly workers: WorkerStore;
  readonly claims: Claims;
  readonly attempts: Attempts;
  readonly logs: LogStore;
  /** In milliseconds. */
  readonly settings: { readonly leaseMs: number; readonly renewMs: number };
  /** The order's history or log grew; or also its state. */
  readonly noted: (order: string) => void;
  readonly changed: (order: string) => void;
}

type Handlers = Pick<
  Api<ComputeContract>,
  'registerWorker' | 'claimOrder' | 'renewLeases' | 'noteStep' | 'appendLog' | 'reportAttempt'
>;

/** The handlers of the calls between a worker and compute-api. */
export function attemptHandlers(parts: AttemptParts): Handlers {
  const { claims, attempts, logs, noted, settings } = parts;
  const registration = createRegistration({ ...parts, leaseMs: settings.leaseMs });
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
      const resumed = await registration.register(worker, resume ?? []);
      const { leaseMs: lease_ms, renewMs: renew_ms } = settings;
      return { lease_ms, renew_ms, ...(resume === undefined ? {} : { resumed }) };
    },
    claimOrder: async ({ params, body }) => ({
      claim: await claims.claim(params.worker, body.boot, { kinds: body.kinds, gpus: body.free_gpus ?? 0 }),
    }),
    renewLeases: async ({ params, body }) => ({
      ...(await claims.renew(params.worker, body.boot, body.attempts)),
      lease_ms: settings.leaseMs,
    }),
    noteStep: async ({ params, body }) => {
      await attempts.noteStep({ order: params.id, attempt: params.attempt }, body);
      return undefined;
    },
    appendLog: async ({ params, body }) => {
      await logs.append({ order: params.id, attempt: params.attempt }, body.chunks);
      noted(params.id);
      return undefined;
    },
    reportAttempt: async ({ params, body }) => ({
      status: await attempts.report({ order: params.id, attempt: params.attempt }, body),
    }),
  };
}

const NO_GPUS = { devices: [], slots: 1 };
