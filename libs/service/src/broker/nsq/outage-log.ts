import type { Log } from '../../log/index.ts';

/** What is wrong at present: each trouble is logged once when it begins, and once when the last one it hit is well. */
export class OutageLog {
  readonly #log: Log;
  /** Whom each trouble hits, by its text. */
  readonly #present = new Map<string, Set<string>>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Something cannot be done because of this, a line that says what to do; it takes the place of an earlier reason. */
  note(who: string, message: string): void {
    const hit = this.#present.get(message);
    if (hit?.has(who) === true) return;
    this.#forget(who);
    if (hit === undefined) {
      this.#present.set(message, new Set([who]));
      this.#log.warn({ broker: 'nsq' }, message);
    } else {
      hit.add(who);
    }
  }

  /** The lines of all that is wrong now. */
  get present(): string[] {
    return [...this.#present.keys()];
  }

  /** It can be done again. */
  over(who: string): void {
    const message = this.#forget(who);
    if (message !== undefined) this.#log.info({ broker: 'nsq', was: message }, 'works again');
  }

  /** It is not to be done any more. */
  leave(who: string): void {
    this.#forget(who);
  }

  /** The trouble that is over with this, where it hits nobody else. */
  #forget(who: string): string | undefined {
    for (const [message, hit] of this.#present) {
      if (!hit.delete(who)) continue;
      if (hit.size > 0) return undefined;
      this.#present.delete(message);
      return message;
    }
    return undefined;
  }
}
