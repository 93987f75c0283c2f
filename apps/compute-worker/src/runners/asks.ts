import type { OfferedCall } from './protocol.ts';

/** A program's wish for calls. */
export interface Ask {
  /** How many it takes. */
  readonly most: number;
  /** Answers it, once. */
  readonly give: (calls: readonly OfferedCall[]) => void;
  /** Whether it is answered, or the program does not wait for that any more. */
  readonly isOver: boolean;
}

/** What the program of a runner asks for: one thing at a time, and the last one counts. */
export class Asks {
  #ask: Ask | undefined;

  /** How many calls the program waits for; 0 where it does not wait. */
  get most(): number {
    return this.#ask?.most ?? 0;
  }

  /** The program asks. Resolves with calls, and with none where the signal aborts or it asks anew before they come. */
  async wait(most: number, signal: AbortSignal, onAsk: () => void): Promise<readonly OfferedCall[]> {
    const { promise, resolve } = Promise.withResolvers<readonly OfferedCall[]>();
    let isOver = false;
    const ask: Ask = {
      most,
      get isOver() {
        return isOver;
      },
      give: (calls) => {
        isOver = true;
        signal.removeEventListener('abort', forget);
        resolve(calls);
      },
    };
    const forget = () => {
      if (this.#ask === ask) this.#ask = undefined;
      ask.give([]);
    };
    signal.addEventListener('abort', forget, { once: true });
    this.#ask?.give([]);
    this.#ask = ask;
    if (signal.aborted) forget();
    onAsk();
    return await promise;
  }

  /** What the program waits for, which it has no more: it is to be answered, or put back. */
  take(): Ask | undefined {
    const ask = this.#ask;
    this.#ask = undefined;
    return ask;
  }

  /** What was taken, or where that is over by now, as after a long time, what the program waits for since. */
  latest(taken: Ask): Ask {
    return taken.isOver ? (this.take() ?? taken) : taken;
  }

  /** There is nothing for it yet; the program goes on waiting, unless it has asked again meanwhile. */
  putBack(ask: Ask): void {
    if (this.#ask === undefined && !ask.isOver) this.#ask = ask;
    else ask.give([]);
  }

  /** The program is told that nothing comes any more. */
  close(): void {
    this.take()?.give([]);
  }
}
