import { PlatformError } from '@morpheo/common';
import { shownOwner } from '../owners/owners.ts';
import type { OpenCall } from './open-call.ts';
import type { CallSettings } from './settings.ts';

/** Calls that no worker has yet: bounded by program and owner, of each program the oldest first, and programs in turn. */
export class WaitingCalls {
  readonly #settings: Pick<CallSettings, 'perProgram' | 'perOwner'>;
  /** By the key of calls; a map keeps the order in which they came. */
  readonly #byKey = new Map<string, Set<OpenCall>>();
  readonly #byOwner = new Map<string, number>();

  constructor(settings: Pick<CallSettings, 'perProgram' | 'perOwner'>) {
    this.#settings = settings;
  }

  /** How many there are. */
  get size(): number {
    return this.#byOwner.values().reduce((sum, count) => sum + count, 0);
  }

  /** Adds a call. Throws `rate_limited` where as many wait already as may. */
  add(call: OpenCall): void {
    const { perProgram, perOwner } = this.#settings;
    const { owner } = call.asked;
    const same = this.#byKey.get(call.key) ?? new Set();
    const own = this.#byOwner.get(owner) ?? 0;
    if (same.size >= perProgram) throw tooMany(`${same.size} calls of this program wait already`);
    if (own >= perOwner) throw tooMany(`${own} calls of ${shownOwner(owner)} wait already`);
    this.#byKey.set(call.key, same.add(call));
    this.#byOwner.set(owner, own + 1);
  }

  /** The keys of those that wait: the one that was served last comes last. */
  keys(): string[] {
    return [...this.#byKey.keys()];
  }

  /** The oldest of a key. */
  next(key: string): OpenCall | undefined {
    return this.#byKey.get(key)?.values().next().value;
  }

  /** All of them. */
  all(): OpenCall[] {
    return [...this.#byKey.values()].flatMap((calls) => [...calls]);
  }

  /** Takes a call out, which was given to a worker, or has ended; of its key others are served first, then. */
  remove(call: OpenCall): void {
    const same = this.#byKey.get(call.key);
    if (same?.delete(call) !== true) return;
    this.#byKey.delete(call.key);
    if (same.size > 0) this.#byKey.set(call.key, same);
    const { owner } = call.asked;
    const rest = (this.#byOwner.get(owner) ?? 1) - 1;
    if (rest > 0) this.#byOwner.set(owner, rest);
    else this.#byOwner.delete(owner);
  }
}

/** The refusal of a call where too many wait. */
export function tooMany(why: string): PlatformError {
  return new PlatformError('rate_limited', `${why}: try again in a moment, or place an order, which waits.`);
}
