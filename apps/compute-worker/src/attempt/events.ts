import type { AttemptEvent, Step, StepRecord } from '@morpheo/common';
import type { BuildOutput } from '../inputs/supplies.ts';
import type { OutputChunk } from '../runtime/index.ts';
import { formatBytes } from '../steps/format.ts';
import {
  EventSender,
  type LogStream,
  type MetricsLine,
  type SenderOptions,
  type StepNote,
} from './event-sender.ts';
import { LogTail } from './log-tail.ts';

/** What {@link AttemptEvents} are made with. */
export interface EventsOptions extends SenderOptions {
  /** How much of what the code prints is kept, in bytes; the rest is counted. */
  readonly limitBytes: number;
  /** Called with each step that ended. */
  readonly onStep?: ((record: StepRecord) => void) | undefined;
}

/** A line of a build that is longer is cut. */
const BUILD_LINE_LENGTH = 16_384;

/** What compute-api hears of an attempt while it runs: its steps and its log. Keeps the last lines of each step. */
export class AttemptEvents {
  readonly #options: EventsOptions;
  readonly #sender: EventSender;
  readonly #tails = new Map<Step, LogTail>();
  readonly #decoders = new Map<string, TextDecoder>();
  #kept = 0;
  #dropped = 0;
  #step: Step = 'inputs';

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#sender = new EventSender(options);
  }

  /** The step that started or ended last. */
  get step(): Step {
    return this.#step;
  }

  /** Sends that a step started or ended. */
  note(note: StepNote): void {
    this.#step = note.what === 'started' ? note.step : note.record.step;
    if (note.what === 'ended') {
      this.#endText(this.#step);
      this.#options.onStep?.(note.record);
    }
    this.#sender.note(note);
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
    this.#sender.text(step, stream, text);
    await this.#sender.room();
  }

  /**
   * What one of the builds of an order prints, as a container runtime calls it. They go on side by side, so each line
   * says in front whose it is, such as `algo`. Disposing ends a last line that was left open.
   */
  buildOutput(whose: string): BuildOutput {
    const decoders = { stdout: newDecoder(), stderr: newDecoder() };
    let open = '';
    const print = async (text: string) => await this.output('build', 'stdout', Buffer.from(text));
    return {
      onOutput: async ({ stream, bytes }) => {
        const lines = (open + decoders[stream].decode(bytes, { stream: true })).split('\n');
        open = lines.pop() ?? '';
        if (open.length > BUILD_LINE_LENGTH) {
          lines.push(open);
          open = '';
        }
        if (lines.length > 0) await print(lines.map((line) => `${whose} | ${line}\n`).join(''));
      },
      [Symbol.asyncDispose]: async () => {
        if (open !== '') await print(`${whose} | ${open}\n`);
        open = '';
      },
    };
  }

  /** {@link output} of one step, as a container runtime calls it. */
  outputOf(step: Step): (chunk: OutputChunk) => Promise<void> {
    return ({ stream, bytes }) => this.output(step, stream, bytes);
  }

  /** Adds a line of the platform's own to the log. */
  log(step: Step, line: string): void {
    this.#sender.text(step, 'platform', `${line}\n`);
  }

  /** Sends lines of metrics, of which the first has this number in the attempt; resolves when there is room for more. */
  async metrics(from: number, lines: readonly MetricsLine[]): Promise<void> {
    this.#sender.metrics(from, lines);
    await this.#sender.room();
  }

  /** The last lines that a step printed; see {@link LogTail}. */
  tail(step: Step): string[] {
    return this.#tail(step).lines();
  }

  /** Ends it, and returns what the report is to carry; see {@link EventSender.close}. */
  async close(graceMs: number): Promise<AttemptEvent[]> {
    if (this.#dropped > 0) {
      this.log(this.#step, `log: ${formatBytes(this.#dropped)} more were printed and are not kept`);
    }
    return await this.#sender.close(graceMs);
  }

  /** Drops what has not been sent. */
  stop(): void {
    this.#sender.stop();
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
      if (rest !== '') this.#sender.text(step, stream, rest);
    }
  }

  /** NUL has no place in a text of PostgreSQL, so it is shown as what it is: a character that cannot be shown. */
  #decode(step: Step, stream: LogStream, bytes: Uint8Array): string {
    const key = `${step} ${stream}`;
    const decoder = this.#decoders.get(key) ?? newDecoder();
    this.#decoders.set(key, decoder);
    return decoder.decode(bytes, { stream: true }).replaceAll('\0', '\uFFFD');
  }
}

function newDecoder(): TextDecoder {
  return new TextDecoder('utf-8', { ignoreBOM: true });
}
