import { setImmediate } from 'node:timers/promises';
import { ORDER_KINDS, type Removal } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { type ComputeDatabase, timeOf } from '../db/database.ts';
import { BEGINNING, BestOrders, endOfKept } from './candidates.ts';
import type { OutputStorage } from './outputs.ts';
import { plus } from './rows.ts';
import type { RetentionSettings } from './settings.ts';
import { NOTHING, type Phase, planStep, removeStep, type Step, type StepPlace, type Told } from './steps.ts';

/** What {@link Retention} works with. */
export interface RetentionParts {
  readonly database: ComputeDatabase;
  readonly storage: OutputStorage;
  readonly settings: RetentionSettings;
  /** Told of what each step has removed. */
  readonly removed: (some: Told) => void;
  readonly log: Log;
}

/** Removes what has ended long ago, a little in each transaction. */
export class Retention {
  readonly #parts: RetentionParts;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
  }

  /** What would be removed, from a place on that an earlier call has told; some seconds of looking. */
  async plan(from?: string): Promise<Removal> {
    const when = await this.#when();
    return await this.#slice(from, async (place) => await planStep({ ...this.#parts, ...when, ...place }));
  }

  /** Removes as much as some seconds let it, in the same way. An abort ends it after the transaction under way. */
  async remove(from?: string, signal: AbortSignal = NEVER): Promise<Removal> {
    const when = await this.#when();
    const work = async (place: Place) => {
      const step = await removeStep({ ...this.#parts, ...when, ...place, signal });
      this.#parts.removed(step);
      return step;
    };
    return await this.#slice(from, work, signal);
  }

  async #when(): Promise<Pick<StepPlace, 'now' | 'goneBefore' | 'best'>> {
    const { database, settings } = this.#parts;
    const now = await timeOf(database);
    const goneBefore = await endOfKept(database.read, settings, now);
    return { now, goneBefore, best: new BestOrders(database.read, settings.best) };
  }

  async #slice(
    from: string | undefined,
    work: (place: Place) => Promise<Step>,
    signal: AbortSignal = NEVER,
  ): Promise<Removal> {
    const startedAt = performance.now();
    let sum: Told = NOTHING;
    let place: Place | undefined = from === undefined ? FIRST : placeOf(from);
    do {
      const { next, ...some } = await work(place);
      sum = added(sum, some);
      place = next;
      // Calls that came meanwhile go first.
      await setImmediate();
    } while (
      place !== undefined &&
      !signal.aborted &&
      performance.now() - startedAt < this.#parts.settings.callMs
    );
    return place === undefined ? sum : { ...sum, next: textOf(place) };
  }
}

/** Removes what has ended long ago again and again, until it is disposed. */
export function keepRemoving(
  retention: Pick<Retention, 'remove'>,
  { everyMs, log }: { readonly everyMs: number; readonly log: Log },
): Loop {
  const work = async (signal: AbortSignal): Promise<void> => {
    let sum: Told = NOTHING;
    let from: string | undefined;
    do {
      const { next, ...some } = await retention.remove(from, signal);
      sum = added(sum, some);
      from = next;
    } while (from !== undefined && !signal.aborted);
    if (isSomething(sum)) log.info({ ...sum }, 'What had ended long ago was removed');
  };
  return startLoop({ name: 'retention', everyMs, jitter: 0.25, log, work });
}

const NEVER = new AbortController().signal;

type Place = NonNullable<Step['next']>;

const FIRST: Place = { phase: 'orders', after: BEGINNING };

function added(a: Told, b: Told): Told {
  const orders = Object.fromEntries(
    ORDER_KINDS.map((kind) => [kind, a.orders[kind] + b.orders[kind]]),
  ) as Told['orders'];
  return {
    orders,
    history: plus(a.history, b.history),
    logs: plus(a.logs, b.logs),
    outputs: plus(a.outputs, b.outputs),
    ids: a.ids + b.ids,
    groups: a.groups + b.groups,
  };
}

function isSomething({ history, logs, outputs, ids, groups }: Told): boolean {
  return history.count + logs.count + outputs.count + ids + groups > 0;
}

function textOf({ phase, after: { at, id } }: Place): string {
  return `${phase}.${at}.${id}`;
}

/** Of a text that the contract has checked. */
function placeOf(text: string): Place {
  const [phase, at, id = ''] = text.split('.');
  return { phase: phase as Phase, after: { at: Number(at), id } };
}
