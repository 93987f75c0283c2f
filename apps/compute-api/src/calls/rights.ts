import { randomUUID } from 'node:crypto';
import {
  type Api,
  KeyedLock,
  NIL_UUID,
  type PinUse,
  PlatformError,
  type StorageContract,
} from '@morpheo/common';
import type { SignTicket } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { shownOwner } from '../owners/owners.ts';

/** The calls by which storage decides about calls, and holds what they name. */
export type RightsStorage = Pick<Api<StorageContract>, 'pinOrders' | 'discardResults' | 'get'>;

/** Storage, as who has a ticket may ask it. */
export type AskByTicket = (ticket: string) => Pick<Api<StorageContract>, 'get'>;

/** What storage holds for calls that name the same, of one owner. */
export interface Held {
  readonly order: string;
  /** By which what is held may be read; absent where nobody signs. */
  readonly ticket?: string | undefined;
}

interface Decision {
  readonly held: Promise<Held>;
  readonly decidedAt: number;
  /** How many calls use it. */
  users: number;
}

/** What {@link Rights} work with. */
export interface RightsParts {
  readonly storage: RightsStorage;
  /** Absent where nobody is asked for credentials. */
  readonly askByTicket?: AskByTicket | undefined;
  readonly signTicket: SignTicket | undefined;
  /** For how long a decision is good, in milliseconds. */
  readonly decisionMs: number;
  readonly log: Log;
}

/**
 * For so long storage holds what calls name, in seconds, unless it is released before: the longest that one waits, and a
 * decision is good, and a while. What a compute-api has left behind that died is released then.
 */
const PINNED_SECONDS = 900;
/** Of so many models it is kept which algorithm made them. */
const MOST_MODELS = 10_000;

/**
 * Whether callers may use what their calls name: storage decides, as for orders, and holds it for the time being. A decision
 * is good for further calls that name the same for a short while; whom a right is taken from, loses it then.
 */
export class Rights implements AsyncDisposable {
  readonly #parts: RightsParts;
  readonly #decisions = new Map<string, Decision>();
  readonly #algos = new Map<string, string>();
  readonly #looking = new KeyedLock();
  readonly #releasing = new Set<Promise<void>>();
  /** Runs while there are decisions. */
  #forgetting: NodeJS.Timeout | undefined;

  constructor(parts: RightsParts) {
    this.#parts = parts;
  }

  /**
   * Has storage hold what a call names, on behalf of its owner, until it is disposed of and a while. Throws `forbidden` or
   * `not_found` with what is missing, and `unavailable` where storage does not answer.
   */
  async hold(owner: string, uses: readonly PinUse[]): Promise<Held & Disposable> {
    const key = JSON.stringify([owner, uses.map(({ type, uuid, as }) => `${as} ${type} ${uuid}`).sort()]);
    this.#forgetOld();
    const known = this.#decisions.get(key);
    const decision = known ?? { held: this.#decide(owner, uses), decidedAt: performance.now(), users: 0 };
    this.#decisions.set(key, decision);
    this.#keepForgetting();
    decision.users += 1;
    const leave = () => {
      decision.users -= 1;
      if (decision.users === 0 && this.#decisions.get(key) !== decision) this.#release(decision);
    };
    try {
      return { ...(await decision.held), [Symbol.dispose]: leave };
    } catch (error) {
      if (this.#decisions.get(key) === decision) this.#decisions.delete(key);
      throw error;
    }
  }

  /** Which algorithm made a model that is held. Throws `not_found` where storage does not know. */
  async algoOf(model: string, { ticket }: Held): Promise<string> {
    using _ = await this.#looking.hold(model);
    const known = this.#algos.get(model);
    if (known !== undefined) return known;
    const { storage, askByTicket } = this.#parts;
    const asked = ticket === undefined ? storage : (askByTicket?.(ticket) ?? storage);
    const { algo } = await asked.get({ params: { type: 'model', uuid: model } });
    if (algo === undefined)
      throw new PlatformError('not_found', `Storage does not know which algorithm made model ${model}.`);
    const [oldest] = this.#algos.keys();
    if (this.#algos.size >= MOST_MODELS && oldest !== undefined) this.#algos.delete(oldest);
    this.#algos.set(model, algo);
    return algo;
  }

  /** Releases what is held, as far as storage answers: what is not released so is when its time is over. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#forgetting);
    const all = [...this.#decisions.values()];
    this.#decisions.clear();
    for (const decision of all) this.#release(decision);
    await Promise.all(this.#releasing);
  }

  async #decide(owner: string, uses: readonly PinUse[]): Promise<Held> {
    const { storage, signTicket } = this.#parts;
    const order = randomUUID();
    const isModel = uses.some(({ as }) => as === 'model');
    const { pins } = await storage.pinOrders({
      body: {
        orders: [
          {
            ...{ order, round: 1, owner: shownOwner(owner), uses: [...uses] },
            // As the order that would do the same: of a prediction storage holds the algorithm of the model as well.
            kind: isModel ? 'predict' : 'job',
            produces: { type: isModel ? 'prediction' : 'output', uuid: NIL_UUID },
            ...{ keep_id: false, expires_seconds: PINNED_SECONDS },
          },
        ],
      },
    });
    const [answer] = pins;
    if (answer?.outcome === 'refused') {
      const code = answer.reason === 'forbidden' ? 'forbidden' : 'not_found';
      throw new PlatformError(code, answer.message, { details: { missing: answer.missing } });
    }
    if (answer?.outcome !== 'pinned')
      throw new PlatformError('unavailable', 'Storage gave no answer about what the call names: call again.');
    if (signTicket === undefined) return { order };
    const expires = new Date(Date.now() + PINNED_SECONDS * 1000);
    const { pin, produces } = answer;
    return { order, ticket: await signTicket({ order, attempt: 1, pin, produces }, expires) };
  }

  /** Forgets what is old also where no call comes that would. */
  #keepForgetting(): void {
    this.#forgetting ??= setTimeout(() => {
      this.#forgetting = undefined;
      this.#forgetOld();
      if (this.#decisions.size > 0) this.#keepForgetting();
    }, this.#parts.decisionMs).unref();
  }

  #forgetOld(): void {
    const now = performance.now();
    // They stand in the order in which they were made.
    for (const [key, decision] of this.#decisions) {
      if (now - decision.decidedAt < this.#parts.decisionMs) return;
      this.#decisions.delete(key);
      if (decision.users === 0) this.#release(decision);
    }
  }

  #release({ held }: Decision): void {
    const { storage, log } = this.#parts;
    const released = held
      .then(async ({ order }) => {
        await storage.discardResults({ params: { order }, query: { round: 1 } });
      })
      .catch((error: unknown) => {
        log.debug({ error }, 'What was held for calls was not released; it is when its time is over');
      })
      .finally(() => this.#releasing.delete(released));
    this.#releasing.add(released);
  }
}
