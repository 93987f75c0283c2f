import { setTimeout as pause } from 'node:timers/promises';
import { median } from '../bench.ts';
import { load } from '../orders/load.ts';
import { nextOrder } from '../orders/next-order.ts';
import type { ServerProcess } from '../process/start-server.ts';
import type { ReadCase } from './read-cases.ts';
import { Reader } from './time-reads.ts';

/** How many orders are taken in a second, alone and while somebody asks for one read after the other. */
export interface Beside {
  readonly engine: string;
  readonly count: number;
  readonly alone: number;
  readonly beside: number;
}

const CALLERS = 16;
/** Between two reads of the one who asks, in milliseconds. */
const PAUSE_MS = 20;

/** Posts orders by turns alone and beside one who reads all that can be read, again and again. */
export async function intakeBeside(
  { url }: ServerProcess,
  cases: readonly ReadCase[],
  ms: number,
): Promise<Pick<Beside, 'alone' | 'beside'>> {
  const alone: number[] = [];
  const beside: number[] = [];
  const post = async () => {
    const { accepted, seconds } = await load({ url, path: '/learn', callers: CALLERS, ms, next: nextOrder });
    return accepted.length / seconds;
  };
  await post();
  for (let turn = 0; turn < 2; turn++) {
    alone.push(await post());
    const over = new AbortController();
    const asking = askOn(url, cases, over.signal);
    beside.push(await post());
    over.abort();
    await asking;
  }
  return { alone: median(alone), beside: median(beside) };
}

async function askOn(url: string, cases: readonly ReadCase[], signal: AbortSignal): Promise<void> {
  using reader = new Reader();
  for (;;) {
    for (const read of cases) {
      if (signal.aborted) return;
      await reader.time(url, read);
      await pause(PAUSE_MS);
    }
  }
}
