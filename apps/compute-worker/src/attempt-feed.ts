import type { Step, StepRecord } from '@morpheo/common';
import type { OutputChunk } from './container-runtime/index.ts';
import { FeedOutbox, type FeedTarget, type LogStream, type StepNote } from './feed-outbox.ts';
import { formatBytes } from './format.ts';
import { LogTail } from './log-tail.ts';

/** What to make an {@link AttemptFeed} with. */
export interface FeedOptions extends FeedTarget {
  /** How much of what the code prints is kept, in bytes; the rest is counted. */
  readonly limitBytes: number;
  /** Called with each step that ended. */
  readonly onStep?: ((record: StepRecord) => void) | undefined;
}

/** What an attempt tells while it runs: its steps, and its log with the last lines of each step. */
export class AttemptFeed {
  readonly #options: FeedOptions;
  readonly #outbox: FeedOutbox;
  readonly #tails = new Map<Step, LogTail>();
  readonly #decoders = new Map<string, TextDecoder>();
  #kept = 0;
  #dropped = 0;
  #step: Step = 'inputs';

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#outbox = new FeedOutbox(options);
  }

  /** The step that started or ended last. */
  get step(): Step {
    return this.#step;
  }

  /** Tells that a step started or ended. */
  note(note: StepNote): void {
    this.#step = note.what === 'started' ? note.step : note.record.step;
    if (note.what === 'ended') {
      this.#endText(this.#step);
      this.#options.onStep?.(note.record);
    }
    this.#outbox.note(note);
  }

  /** Takes what the code of a step printed, as UTF-8; resolves when there is room for more. */
  async output(step: Step, stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
    const text = this.#decode(step, stream, bytes);
    this.#tail(step).add(stream, text);
    if (this.#kept >= this.#options.limitBytes) {
      this.#dropped += bytes.length;
      return;
    }
    this.#kept += bytes.length;
    this.#outbox.text(step, stream, text);
    await this.#outbox.room();
  }

  /** {@link output} of one step, as a container runtime calls it. */
  outputOf(step: Step): (chunk: OutputChunk) => Promise<void> {
    return ({ stream, bytes }) => this.output(step, stream, bytes);
  }

  /** Adds a line of ours to the log. */
  say(step: Step, line: string): void {
    this.#outbox.text(step, 'platform', `${line}\n`);
  }

  /** The last lines that a step printed; see {@link LogTail}. */
  tail(step: Step): string[] {
    return this.#tail(step).lines();
  }

  /** Sends what is left, for at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    if (this.#dropped > 0) {
      this.say(this.#step, `log: ${formatBytes(this.#dropped)} more were printed and are not kept`);
    }
    await this.#outbox.close(graceMs);
  }

  /** Drops what has not been sent. */
  stop(): void {
    this.#outbox.stop();
  }

  #tail(step: Step): LogTail {
    const tail = this.#tails.get(step) ?? new LogTail();
    this.#tails.set(step, tail);
    return tail;
  }

  /** What a step printed last may be half a character: it is shown as one that cannot be shown. */
  #endText(step: Step): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#decoders.get(`${step} ${stream}`)?.decode() ?? '';
      if (rest !== '') this.#outbox.text(step, stream, rest);
    }
  }

  /** NUL has no place in a text of PostgreSQL, so it is shown as what it is: a character that cannot be shown. */
  #decode(step: Step, stream: LogStream, bytes: Uint8Array): string {
    const key = `${step} ${stream}`;
    const decoder = this.#decoders.get(key) ?? new TextDecoder('utf-8', { ignoreBOM: true });
    this.#decoders.set(key, decoder);
    return decoder.decode(bytes, { stream: true }).replaceAll('\0', '\uFFFD');
  }
}
