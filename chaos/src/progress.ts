import { done, type Onlooker, unsettled } from './account.ts';

/** How far the orders were at a moment. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly done: number;
  /** Orders that have not ended, and effects of others that did not happen yet. */
  readonly open: number;
}

/** Looks every second how far the orders are, until it is disposed. */
export interface Progress extends Disposable {
  /** What has been seen; nothing is added while the database does not answer. */
  readonly samples: readonly Sample[];
  /** How many are open, as last seen. */
  readonly open: number;
}

const EVERY_MS = 1000;
const LOOKS_PER_LINE = 10;

/** Starts to look; `onLine` is told now and then, for people. */
export function watchProgress(database: Onlooker, onLine: (line: string) => void): Progress {
  const samples: Sample[] = [];
  let looks = 0;
  const look = async () => {
    const sample = { at: Date.now(), done: await done(database), open: await unsettled(database) };
    samples.push(sample);
    looks += 1;
    if (looks % LOOKS_PER_LINE === 0)
      onLine(`${sample.done} orders are done, ${sample.open} orders and effects are open`);
  };
  const timer = setInterval(() => {
    look().catch(() => onLine('the database does not answer'));
  }, EVERY_MS);
  return {
    samples,
    get open() {
      // Before the first look there may be anything.
      return samples.at(-1)?.open ?? 1;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
