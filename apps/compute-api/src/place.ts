import { randomUUID } from 'node:crypto';
import { type Call, NIL_UUID, type OrderSpec, PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { concerns, currentTraceparent, span } from '@morpheo/service/trace';
import { checkRules } from './order-rules.ts';
import type { NewOrder, OrderStore } from './order-store.ts';
import { ownerOf } from './owners.ts';
import type { OrderRow, Schema, Tx } from './schema.ts';
import { identityOf } from './wire.ts';

/** Takes in orders. */
export interface Placing {
  /**
   * Resolves once the order is on disk. The same order again changes nothing and resolves as well; the same id with
   * another body throws `conflict`, a broken rule `invalid_order`, an owner that the caller may not name `forbidden`.
   */
  place(spec: OrderSpec, principal?: Call['principal']): Promise<void>;
}

/** Makes the {@link Placing}; `announce` is given each order that a worker may take, once it is on disk. */
export function createPlacing(options: {
  database: Database<Schema>;
  store: OrderStore;
  /** How long an order waits until it has gained a level of priority, in milliseconds. */
  ageingMs: number;
  announce: (order: OrderSpec) => void;
}): Placing {
  const { database, store, ageingMs, announce } = options;

  /** True where a worker may take it at once. */
  async function insert(spec: OrderSpec, identity: string, owner: string): Promise<boolean> {
    const trace = currentTraceparent() ?? null;
    return await database.write(async (tx) => {
      const start = await startOf(tx, store, startModelOf(spec));
      const priority = spec.uplet.priority ?? 0;
      const rank = { owner, priority, aheadMs: priority * ageingMs };
      if (await store.insert(tx, { ...rowOf(spec), ...rank, identity, trace, ...start }))
        return start.status === 'todo';
      const known = await store.take(tx, spec.uplet.uuid);
      if (known?.identity === identity) return false;
      throw new PlatformError(
        'conflict',
        `There is another order with the uuid ${spec.uplet.uuid}. Send the same body as before, or a new uuid.`,
      );
    });
  }

  return {
    async place(posted, principal) {
      checkRules(posted);
      const owner = ownerOf(posted.uplet.owner, principal);
      concerns(posted.uplet.uuid);
      const spec = withModelEnd(posted);
      const isDue = await span('place order', { kind: spec.kind }, () =>
        insert(spec, identityOf(posted), owner),
      );
      if (isDue) announce(spec);
    },
  };
}

/** The model that an order starts from, or null; at rank 0 the originals send the algo's id there, which is none. */
export function startModelOf(spec: OrderSpec): string | null {
  if (spec.kind === 'predict') return spec.uplet.model;
  return spec.uplet.rank > 0 ? known(spec.uplet.model_start) : null;
}

/** Whether an order can be claimed at once, or waits for the order that is to make its start model. */
export async function startOf(
  tx: Tx,
  store: OrderStore,
  model: string | null,
): Promise<Pick<OrderRow, 'status' | 'waits_for'>> {
  const maker = model === null ? undefined : await store.makerOf(tx, model);
  if (maker === undefined || ['done', 'failed', 'cancelled'].includes(maker.status)) {
    return { status: 'todo', waits_for: null };
  }
  return { status: 'waiting', waits_for: maker.id };
}

/** Clients of the originals may leave out the id of the new model, though a worker cannot do without. */
function withModelEnd(spec: OrderSpec): OrderSpec {
  if (spec.kind !== 'learn' || spec.uplet.model_end !== NIL_UUID) return spec;
  return { kind: 'learn', uplet: { ...spec.uplet, model_end: randomUUID() } };
}

function rowOf(
  spec: OrderSpec,
): Omit<NewOrder, 'identity' | 'status' | 'waits_for' | 'trace' | 'owner' | 'priority' | 'aheadMs'> {
  const { uuid: id, problem, workflow } = spec.uplet;
  const gpus = spec.uplet.gpus ?? null;
  const common = { id, problem, workflow, gpus, kind: spec.kind, spec: JSON.stringify(spec) };
  if (spec.kind === 'predict') {
    return { ...common, algo: null, model: spec.uplet.model, model_start: null, model_end: null };
  }
  const { algo, model_end } = spec.uplet;
  return { ...common, algo, model: null, model_start: startModelOf(spec), model_end };
}

function known(id: string): string | null {
  return id === NIL_UUID ? null : id;
}
