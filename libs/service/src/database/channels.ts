import { EventEmitter } from 'node:events';
import type { Log } from '../log/index.ts';

/** Where a notification was made: by this opening of the database, or by another one. */
export type Origin = 'here' | 'elsewhere';

/** What is called with a notification; see `Database.listen`. */
export type Heard = (text: string, origin: Origin) => void;

/** The listeners of one opening of a database. */
export class Channels {
  readonly #listeners = new EventEmitter().setMaxListeners(0);
  readonly #beginnings = new Set<() => void>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Adds a listener until it is disposed; `begins` is called when others begin to be heard. */
  listen(channel: string, heard: Heard, begins: () => void = () => undefined): Disposable {
    const event = eventOf(channel);
    const listener: Heard = (text, origin) => {
      try {
        heard(text, origin);
      } catch (error) {
        this.#log.error({ channel, error }, 'a listener failed at a notification');
      }
    };
    const beginning = () => begins();
    this.#listeners.on(event, listener);
    this.#beginnings.add(beginning);
    return {
      [Symbol.dispose]: () => {
        this.#listeners.off(event, listener);
        this.#beginnings.delete(beginning);
      },
    };
  }

  /** Others begin to be heard: tells all who listen that what was notified before is lost. */
  begin(): void {
    for (const begins of this.#beginnings) begins();
  }

  /** Calls the listeners of a channel. */
  deliver(channel: string, text: string, origin: Origin): void {
    this.#listeners.emit(eventOf(channel), text, origin);
  }
}

/** Never `error`, which an emitter throws where nobody listens. */
function eventOf(channel: string): string {
  if (!/^[a-z][a-z_]{0,39}$/.test(channel)) {
    throw new TypeError(`${channel} cannot name a channel: use a-z and _.`);
  }
  return `channel ${channel}`;
}
