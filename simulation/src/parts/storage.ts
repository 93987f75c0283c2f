import {
  type Api,
  DEFAULT_DISCLOSURE,
  NIL_UUID,
  type PinAnswer,
  type PinRequest,
  PlatformError,
  type StorageContract,
  type Ticket,
} from '@morpheo/common';

/** What an attempt needs of storage. */
export type ResultStorage = Pick<Api<StorageContract>, 'stageResult'>;

/** What compute-api needs of storage. */
export type OrderStorage = Pick<
  Api<StorageContract>,
  'pinOrders' | 'publishResult' | 'discardResults' | 'removeResult' | 'get'
>;

/** What is held for an order; `answer` is undefined where it was released before anything was held. */
interface Held {
  readonly round: number;
  readonly answer: Extract<PinAnswer, { outcome: 'pinned' }> | undefined;
  released: boolean;
}

/**
 * A storage that holds what orders name, takes the results of attempts by their tickets, and keeps which attempt's
 * result everybody sees.
 */
export class SimulatedStorage {
  readonly #staged = new Set<string>();
  readonly #held = new Map<string, Held>();
  /** The attempt whose result is visible, by order. */
  readonly visible = new Map<string, number>();
  /** The orders whose visible result is told to be that of a run that failed. */
  readonly toldFailed = new Set<string>();
  readonly api: OrderStorage = {
    pinOrders: async ({ body: { orders } }) => ({ pins: orders.map((request) => this.#pin(request)) }),
    publishResult: async ({ params: { order, attempt }, query: { outcome } }) => {
      const shown = this.visible.get(order);
      if (shown !== undefined && shown !== attempt) {
        throw new PlatformError('conflict', `The result of attempt ${shown} of ${order} is visible already.`);
      }
      if (shown === undefined && !this.#staged.has(`${order} ${attempt}`)) {
        throw new PlatformError('not_found', `Attempt ${attempt} of ${order} staged nothing.`);
      }
      this.visible.set(order, attempt);
      if (outcome === 'failed') this.toldFailed.add(order);
      this.#drop(order);
      const held = this.#held.get(order);
      if (held !== undefined) held.released = true;
      return { uuid: order, timestamp_upload: 0, size: 1, sha256: 'a'.repeat(64) };
    },
    get: async ({ params: { type, uuid } }) => {
      throw new PlatformError('not_found', `Nobody but attempts stores a ${type} here, nor ${uuid}.`);
    },
    removeResult: async ({ params: { order }, query: { attempt = Number.POSITIVE_INFINITY } }) => {
      const shown = this.visible.get(order);
      if (shown === undefined || shown > attempt)
        throw new PlatformError('not_found', `There is no result of ${order}.`);
      this.visible.delete(order);
      this.toldFailed.delete(order);
      return undefined;
    },
    discardResults: async ({ params: { order }, query: { round = Number.POSITIVE_INFINITY } }) => {
      const held = this.#held.get(order);
      if (held !== undefined && held.round > round) return undefined;
      this.#held.set(order, { round, answer: held?.answer, released: true });
      this.#drop(order);
      return undefined;
    },
  };

  /** The orders for which something is held. */
  get holding(): readonly string[] {
    return [...this.#held].filter(([, { released }]) => !released).map(([order]) => order);
  }

  /** The API as an attempt sees it that shows a ticket. */
  seenBy(ticket: () => string | undefined): ResultStorage {
    return {
      stageResult: async ({ params: { order, attempt }, query: { uuid } }) => {
        const shown = readTicket(ticket());
        if (shown?.order !== order || shown.attempt !== attempt || shown.produces.uuid !== uuid) {
          throw new PlatformError('forbidden', `The ticket is not for attempt ${attempt} of ${order}.`);
        }
        const held = this.#held.get(order);
        if (held === undefined || held.released || held.answer?.pin !== shown.pin) {
          throw new PlatformError('stale_attempt', `What ${order} had pinned is released.`);
        }
        this.#staged.add(`${order} ${attempt}`);
        return { size: 1, sha256: 'a'.repeat(64) };
      },
    };
  }

  #pin(request: PinRequest): PinAnswer {
    const { order, round } = request;
    const held = this.#held.get(order);
    if (held !== undefined && (held.round > round || (held.round === round && held.released)))
      return { outcome: 'stale', order };
    if (held?.round === round && held.answer !== undefined) return held.answer;
    if (mayNotUse(request)) {
      const message = 'Its owner may not use the problem.';
      return { outcome: 'refused', order, reason: 'forbidden', message, missing: [] };
    }
    const answer = answerTo(request);
    this.#held.set(order, { round, answer, released: false });
    return answer;
  }

  #drop(order: string): void {
    for (const key of this.#staged) if (key.startsWith(`${order} `)) this.#staged.delete(key);
  }
}

/** Signs a ticket of this world, which nobody forges. */
export async function signTicket(ticket: Ticket, expires: Date): Promise<string> {
  return JSON.stringify({ ...ticket, expires: expires.getTime() });
}

/** What a ticket says; undefined where there is none, or it has run out. */
function readTicket(text: string | undefined): Ticket | undefined {
  if (text === undefined) return undefined;
  const { expires, ...ticket } = JSON.parse(text) as Ticket & { expires: number };
  return expires > Date.now() ? ticket : undefined;
}

/** One problem in sixteen is hidden from everybody. */
function mayNotUse({ uses }: PinRequest): boolean {
  return uses.some(({ as, uuid }) => as === 'problem' && uuid.startsWith('0'));
}

function answerTo({ order, round, produces }: PinRequest): Extract<PinAnswer, { outcome: 'pinned' }> {
  const uuid = produces.uuid === NIL_UUID ? order : produces.uuid;
  const policy: Extract<PinAnswer, { outcome: 'pinned' }>['policy'] = {
    problem_owner: '',
    hidden: false,
    readers: 'everybody',
    disclosure: DEFAULT_DISCLOSURE,
    canaries: [],
  };
  return { outcome: 'pinned', order, pin: `${order} ${round}`, produces: { ...produces, uuid }, policy };
}
