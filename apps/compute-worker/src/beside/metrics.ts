import { MOST_METRICS, sleep } from '@morpheo/common';
import { isOwn } from '../attempt/outcome.ts';
import { untilOver } from '../runtime/beside.ts';
import type { LiveRun } from '../runtime/index.ts';
import { count } from '../steps/format.ts';
import { type MetricLine, MetricLines } from './metric-lines.ts';

/** What {@link MetricsTail} works with. */
export interface MetricsOptions {
  /** Takes the next lines, of which the first has this number in the attempt; resolves when there is room for more. */
  readonly send: (first: number, lines: readonly MetricLine[]) => Promise<void>;
  readonly log: (line: string) => void;
  /** Aborts when the attempt is over. */
  readonly over: AbortSignal;
  /** How often it is looked, in milliseconds; 1,000 where absent. */
  readonly everyMs?: number;
}

/** Of all lines of an attempt together, bad ones too. */
export const METRICS_BYTES = 4 * 1024 * 1024;
/** What is read at one look while the program runs, in bytes: a program that writes faster is heard of later. */
const LOOK_BYTES = 64 * 1024;
/** A look may take this part of the time between two looks: 1/10. */
const LOOK_SHARE = 10;

/**
 * Follows the file of metrics that a program appends to. Lines are numbered in the order in which they stand there, so
 * that reading them again, after the worker was started anew, gives the same. What is no metrics, or too much, is
 * counted, and told in the log at the end.
 */
export class MetricsTail {
  readonly #options: MetricsOptions;
  readonly #lines = new MetricLines();
  #offset = 0;
  #sent = 0;
  /** Of what was read. */
  #missed = 0;

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  /** Follows the file at a path until the run is over, and to its end; see {@link LiveRun}. Never rejects. */
  async follow(path: string, run: LiveRun): Promise<void> {
    const { everyMs = 1000, over } = this.#options;
    const signal = AbortSignal.any([run.over, over]);
    for (let pauseMs = everyMs; !signal.aborted && this.#missed === 0; ) {
      await sleep(pauseMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      const startedAt = performance.now();
      await this.#look(path, run, LOOK_BYTES);
      pauseMs = Math.max(everyMs, (performance.now() - startedAt) * LOOK_SHARE);
    }
    await untilOver(run);
    if (isOwn(over)) {
      await this.#look(path, run, Number.POSITIVE_INFINITY);
      await this.#send(this.#lines.end());
      this.#tell();
    }
  }

  /** Reads on for so many bytes. What cannot be read now is read later. */
  async #look(path: string, run: LiveRun, most: number): Promise<void> {
    try {
      for await (const file of run.read(path)) {
        if (file.path !== '' || file.kind !== 'file') return;
        let left = Math.min(most, METRICS_BYTES - this.#offset);
        for await (const chunk of file.bytes(this.#offset)) {
          const bytes = chunk.subarray(0, left);
          this.#offset += bytes.byteLength;
          left -= bytes.byteLength;
          await this.#send(this.#lines.take(bytes));
          if (left === 0) break;
        }
        if (this.#offset === METRICS_BYTES && file.size > this.#offset) this.#missed += 1;
      }
    } catch {
      // The file changes, or its daemon is away: the next look tells.
    }
  }

  async #send(lines: readonly MetricLine[]): Promise<void> {
    const some = lines.slice(0, MOST_METRICS.lines - this.#sent);
    this.#missed += lines.length - some.length;
    if (some.length === 0) return;
    await this.#options.send(this.#sent, some);
    this.#sent += some.length;
  }

  #tell(): void {
    const { log } = this.#options;
    const { bad } = this.#lines;
    if (bad > 0)
      log(
        `metrics: ${count(bad, 'line')} of the file ${bad === 1 ? 'is' : 'are'} no JSON object of ${MOST_METRICS.lineBytes} bytes at the most, and left out`,
      );
    if (this.#missed > 0)
      log(`metrics: no more than ${MOST_METRICS.lines} lines and ${METRICS_BYTES} bytes are kept`);
  }
}
