import {
  type Api,
  type AttemptEvent,
  abortable,
  type ComputeContract,
  isPlatformError,
  MOST_EVENTS,
  MOST_METRICS,
  retry,
  type Step,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { callPeer } from '../clients.ts';

type Started = Omit<Extract<AttemptEvent, { what: 'started' }>, 'seq' | 'ago_ms'>;
type Ended = Omit<Extract<AttemptEvent, { what: 'ended' }>, 'seq' | 'ago_ms'>;

/** That a step started, or ended with what it took. */
export type StepNote = Started | Ended;

/** Who printed: the order's code, or the platform. */
export type LogStream = Extract<AttemptEvent, { what: 'log' }>['stream'];

/** A line of metrics of a job. */
export type MetricsLine = Extract<AttemptEvent, { what: 'metrics' }>['lines'][number];

/** The attempt whose events an {@link EventSender} sends, and where to. */
export interface SenderOptions {
  readonly compute: Pick<Api<ComputeContract>, 'noteEvents'>;
  readonly order: string;
  readonly attempt: number;
  readonly log: Log;
  /** Aborts when the attempt is over: then the wait for room ends. */
  readonly over: AbortSignal;
  /** Called when compute-api answers that this attempt is over: nothing more is sent. */
  readonly onStale: () => void;
  /** The number of the first event; 0 where absent. */
  readonly firstSeq?: number | undefined;
}

const GATHER_MS = 250;
const GATHER_CHARACTERS = 32_768;
const CHUNK_CHARACTERS = 16_384;
/** What one call tells at the most, and what the report may carry. */
const BATCH = { events: MOST_EVENTS, characters: 65_536 };
const REST = { events: MOST_EVENTS, characters: 32_768 };
/** Above this the code that prints has to wait, as long as compute-api takes what it is sent. */
const ROOM_CHARACTERS = 262_144;
const PAUSES = { firstMs: 100, mostMs: 2000, jitter: 0 };

/** An event that has not been told, and when it happened, by the clock of this process. */
interface Item {
  event: AttemptEvent;
  readonly happenedAt: number;
}

/**
 * Sends the events of an attempt to compute-api, in order and one call at a time: notes of steps, log text and metrics
 * gathered for up to 250 ms or 32 KiB. A call that fails is repeated until it goes through or the sender is closed; it
 * never fails the attempt.
 */
export class EventSender {
  readonly #options: SenderOptions;
  readonly #stop = new AbortController();
  #items: Item[] = [];
  /** What the call under way tells. */
  #sending: readonly Item[] = [];
  #characters = 0;
  #seq: number;
  #hurry = Promise.withResolvers<void>();
  #progress = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #closing: boolean = false;
  #failing = false;
  /** When the last call was answered: what it has told of happened before all that is told later. */
  #answeredAt = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#seq = options.firstSeq ?? 0;
  }

  /** Sends a note, after all that was added before. */
  note(note: StepNote): void {
    this.#push({ ...note, seq: this.#seq++ });
  }

  /** Adds text to the log. */
  text(step: Step, stream: LogStream, text: string): void {
    for (let at = 0; at < text.length; ) {
      const end = pieceEnd(text, at);
      this.#append(step, stream, text.slice(at, end));
      at = end;
    }
    if (this.#characters >= GATHER_CHARACTERS) this.#hurry.resolve();
  }

  /** Adds lines of metrics, of which the first has this number in its attempt. */
  metrics(from: number, lines: readonly MetricsLine[]): void {
    for (const [index, line] of lines.entries()) {
      const last = this.#items.at(-1)?.event;
      if (last?.what === 'metrics' && last.lines.length < MOST_METRICS.together) {
        last.lines.push(line);
        this.#characters += JSON.stringify(line).length;
      } else this.#push({ what: 'metrics', seq: this.#seq++, from: from + index, lines: [line] });
    }
    if (this.#characters >= GATHER_CHARACTERS) this.#hurry.resolve();
  }

  /** Resolves when there is room for more text; at once while compute-api does not answer, so that nothing is held up. */
  async room(): Promise<void> {
    const { over } = this.#options;
    while (
      this.#characters > ROOM_CHARACTERS &&
      !this.#failing &&
      !over.aborted &&
      !this.#stop.signal.aborted
    ) {
      await abortable(this.#progress.promise, over).catch(() => undefined);
    }
  }

  /**
   * Ends the sender, and returns the last events, few enough for the report to carry. More than that is sent before, for at
   * most `graceMs`; what has not been sent then is dropped but for its last part.
   */
  async close(graceMs: number): Promise<AttemptEvent[]> {
    this.#closing = true;
    this.#hurry.resolve();
    const deadline = setTimeout(() => this.#stop.abort(), graceMs);
    await this.#running;
    clearTimeout(deadline);
    const left = [...this.#sending, ...this.#items];
    const rest = this.#told(left.slice(-mostOf(left.toReversed(), REST)));
    this.stop();
    return rest;
  }

  /** Ends the sender now: what was not sent is dropped, and so is all that is added later. */
  stop(): void {
    this.#items = [];
    this.#sending = [];
    this.#characters = 0;
    this.#stop.abort();
    this.#signalProgress();
  }

  #append(step: Step, stream: LogStream, text: string): void {
    const last = this.#items.at(-1);
    if (last !== undefined && joins(last.event, step, stream, text)) {
      last.event = { ...last.event, text: last.event.text + text };
      this.#characters += text.length;
    } else this.#push({ what: 'log', seq: this.#seq++, step, stream, text });
  }

  #push(event: AttemptEvent): void {
    if (this.#stop.signal.aborted) return;
    this.#characters += charactersOf(event);
    this.#items.push({ event, happenedAt: performance.now() });
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#isToSend()) {
      await this.#gather();
      if (!this.#isToSend()) break;
      this.#sending = this.#items.splice(0, mostOf(this.#items, BATCH));
      for (const { event } of this.#sending) this.#characters -= charactersOf(event);
      await this.#deliver(this.#sending);
      this.#signalProgress();
    }
    this.#running = undefined;
  }

  /** What is left when the sender is closed is left to the report. */
  #isToSend(): boolean {
    if (this.#items.length === 0 || this.#stop.signal.aborted) return false;
    return !this.#closing || mostOf(this.#items, REST) < this.#items.length;
  }

  async #gather(): Promise<void> {
    if (this.#characters >= GATHER_CHARACTERS || this.#closing) return;
    this.#hurry = Promise.withResolvers();
    const timer = setTimeout(() => this.#hurry.resolve(), GATHER_MS);
    await this.#hurry.promise;
    clearTimeout(timer);
  }

  /** Events as they are told now. */
  #told(items: readonly Item[]): AttemptEvent[] {
    const now = performance.now();
    return items.map(({ event, happenedAt }) => {
      const ago_ms = Math.min(MOST_AGO_MS, Math.floor(now - Math.max(happenedAt, this.#answeredAt)));
      return { ...event, ago_ms };
    });
  }

  /** Never rejects: what is refused is dropped, and what is not sent when the sender ends is left in `#sending`. */
  async #deliver(items: readonly Item[]): Promise<void> {
    const { compute, order, attempt } = this.#options;
    const { signal } = this.#stop;
    const retryIf = (error: unknown) => !this.#isFinal(error);
    const onRetry = () => {
      this.#failing = true;
      this.#signalProgress();
    };
    const call = async () => {
      const body = { events: this.#told(items) };
      await callPeer('compute-api', signal, (stop) =>
        compute.noteEvents({ params: { id: order, attempt }, body }, { signal: stop }),
      );
      this.#failing = false;
      this.#answeredAt = performance.now();
    };
    try {
      await retry(call, { ...PAUSES, retryIf, onRetry, signal });
    } catch (error) {
      if (signal.aborted) return;
      await this.#deliverSingly(items, error);
    }
    if (!signal.aborted) this.#sending = [];
  }

  /** Of events that were refused together, each that is not refused alone. */
  async #deliverSingly(items: readonly Item[], error: unknown): Promise<void> {
    if (items.length > 1) {
      for (const item of items) await this.#deliver([item]);
      return;
    }
    this.#options.log.warn(
      { error },
      'compute-api refused a part of the log, or of the metrics; it is left out',
    );
  }

  #isFinal(error: unknown): boolean {
    if (isPlatformError(error, 'stale_attempt', 'not_found')) {
      this.stop();
      this.#options.onStale();
      return true;
    }
    return isPlatformError(error) && !error.retry;
  }

  #signalProgress(): void {
    this.#progress.resolve();
    this.#progress = Promise.withResolvers();
  }
}

const MOST_AGO_MS = 86_400_000;

/** How many of the first events keep within a bound; one at least where there is one. */
function mostOf(
  items: readonly Item[],
  most: { readonly events: number; readonly characters: number },
): number {
  let characters = 0;
  for (const [index, { event }] of items.entries()) {
    characters += charactersOf(event);
    if (index > 0 && (index === most.events || characters > most.characters)) return index;
  }
  return items.length;
}

function charactersOf(event: AttemptEvent): number {
  if (event.what === 'log') return event.text.length;
  if (event.what === 'metrics') return JSON.stringify(event.lines).length;
  return 0;
}

function joins(
  event: AttemptEvent,
  step: Step,
  stream: LogStream,
  text: string,
): event is Extract<AttemptEvent, { what: 'log' }> {
  return (
    event.what === 'log' &&
    event.step === step &&
    event.stream === stream &&
    event.text.length + text.length <= CHUNK_CHARACTERS
  );
}

/** Where a piece of a text that begins at `at` ends: never between the two halves of one character. */
function pieceEnd(text: string, at: number): number {
  const end = Math.min(text.length, at + CHUNK_CHARACTERS);
  const code = text.charCodeAt(end - 1);
  const splits = end < text.length && code >= 0xd800 && code <= 0xdbff;
  return splits ? end - 1 : end;
}
