import { createHash, randomUUID } from 'node:crypto';
import {
  DEFAULT_DISCLOSURE,
  NIL_UUID,
  type PinAnswer,
  type PinRequest,
  PlatformError,
  type Resource,
} from '@morpheo/common';
import type { Systems } from '../outbox/effects.ts';

/** The algorithm that made all models that storage has. */
export const ALGO_OF_MODELS = 'a1b6e2de-3a1f-4d6c-bb1e-6a7a51c7e003';

/** While set, every call to that system fails with it. */
export interface Broken {
  storage?: PlatformError;
  orchestrator?: PlatformError;
  /** Storage refuses to publish, and answers all else. */
  publish?: PlatformError;
}

/** How a storage checks orders: it holds for all of them what they name, unless it is told to refuse. */
export class FakeChecks {
  /** The orders of each call that was answered, oldest first. */
  readonly asked: PinRequest[][] = [];
  /** Awaited before a call is answered. */
  before: Promise<void> = Promise.resolve();
  /** Those of the problem of every order. */
  canaries: string[] = [];
  /** Who sees all of every order. */
  readers: Policy['readers'] = 'everybody';
  /** What is answered in the place of that; nothing until it is set. */
  refuse: (request: PinRequest) => PinAnswer | undefined = () => undefined;

  /** What storage answers to a call. */
  async answer(orders: PinRequest[]): Promise<PinAnswer[]> {
    await this.before;
    const answers = orders.map((request) => this.refuse(request) ?? pinned(request, this));
    this.asked.push(orders);
    return answers;
  }
}

type Policy = Extract<PinAnswer, { outcome: 'pinned' }>['policy'];

/** The answer of a storage that holds what an order names, whose problem may have canaries. */
export function pinned(
  { order, round, produces }: PinRequest,
  { canaries = [], readers = 'everybody' }: Partial<Pick<Policy, 'canaries' | 'readers'>> = {},
): PinAnswer {
  const uuid = produces.uuid === NIL_UUID ? randomUUID() : produces.uuid;
  const pin = createHash('sha256').update(`${order} ${round}`).digest('hex');
  const policy: Policy = {
    problem_owner: 'ada',
    hidden: false,
    readers,
    disclosure: DEFAULT_DISCLOSURE,
    canaries,
  };
  return { outcome: 'pinned', order, pin, produces: { ...produces, uuid }, policy };
}

/** Systems that record the calls which they answer, as `name argument`; storage has what is `stored`, by uuid. */
export function fakeSystems(
  calls: string[],
  broken: Broken,
  checks: FakeChecks,
  stored: ReadonlySet<string> = new Set(),
): Systems {
  const storage = (call: string): void => {
    if (broken.storage !== undefined) throw broken.storage;
    calls.push(call);
  };
  const orchestrator = async (call: string): Promise<Record<string, unknown>> => {
    if (broken.orchestrator !== undefined) throw broken.orchestrator;
    calls.push(call);
    return {};
  };
  return {
    storage: {
      publishResult: async ({ params, query: { outcome } }) => {
        if (broken.publish !== undefined) throw broken.publish;
        storage(`publish ${params.order} ${params.attempt}${outcome === 'failed' ? ' failed' : ''}`);
        return { uuid: params.order, timestamp_upload: 0, size: 0, sha256: '' } satisfies Resource;
      },
      pinOrders: async ({ body: { orders } }) => {
        if (broken.storage !== undefined) throw broken.storage;
        return { pins: await checks.answer(orders) };
      },
      get: async ({ params: { type, uuid } }) => {
        storage(`get ${type} ${uuid}`);
        if (!stored.has(uuid)) throw new PlatformError('not_found', `There is no ${type} ${uuid}.`);
        return {
          ...{ uuid, timestamp_upload: 0 },
          ...(type === 'model' ? { algo: ALGO_OF_MODELS } : {}),
        } satisfies Resource;
      },
      removeResult: async ({ params, query: { attempt } }) => {
        storage(`remove ${params.order} ${attempt}`);
        return undefined;
      },
      discardResults: async ({ params }) => {
        storage(`discard ${params.order}`);
        return undefined;
      },
    },
    orchestrator: {
      setWorker: async ({ params, body }) =>
        await orchestrator(`taken ${params.type} ${params.uuid} ${body.worker}`),
      learnDone: async ({ params, body }) =>
        await orchestrator(`learndone ${params.uuid} ${JSON.stringify(body)}`),
      predDone: async ({ params, body }) =>
        await orchestrator(`preddone ${params.uuid} ${JSON.stringify(body)}`),
    },
  };
}
