import {
  type Api,
  abortable,
  type ComputeContract,
  type Input,
  isPlatformError,
  MOST_METRICS,
  retry,
  type Step,
  type Task,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { callPeer } from '../clients.ts';

type Endpoints = ComputeContract['endpoints'];

/** That a step started, or ended with what it took. */
export type StepNote = Input<Endpoints['noteStep']>['body'];

type Chunk = Input<Endpoints['appendLog']>['body']['chunks'][number];

/** Who printed: the order's code, or the platform. */
export type LogStream = Chunk['stream'];

/** The attempt whose events an {@link EventSender} sends, and where to. */
export interface SenderOptions {
  readonly compute: Pick<Api<ComputeContract>, 'noteStep' | 'appendLog' | 'noteMetrics'>;
  readonly order: string;
  readonly attempt: number;
  readonly log: Log;
  /** Aborts when the attempt is over: then the wait for room ends. */
  readonly over: AbortSignal;
  /** Called when compute-api answers that this attempt is over: nothing more is sent. */
  readonly onStale: () => void;
  /** The number of the first piece of the log; 0 where absent. */
  readonly firstSeq?: number | undefined;
}

const GATHER_MS = 250;
const GATHER_CHARACTERS = 32_768;
const CHUNK_CHARACTERS = 16_384;
const BATCH = { chunks: 100, lines: MOST_METRICS.together, characters: 65_536 };
/** Above this the code that prints has to wait, as long as compute-api takes what it is sent. */
const ROOM_CHARACTERS = 262_144;
const PAUSES = { firstMs: 100, mostMs: 2000, jitter: 0 };

/** Lines of metrics in their order; `from` is the number of the first in its attempt. */
export type MetricsNote = Input<Endpoints['noteMetrics']>['body'];

type Item = { readonly note: StepNote } | { chunk: Chunk } | { metrics: MetricsNote };

/**
 * Sends the events of an attempt to compute-api, in order and one call at a time: notes of steps at once, log text
 * and metrics gathered for up to 250 ms or 32 KiB. A call that fails is repeated until it goes through or the sender is closed; it
 * never fails the attempt.
 */
export class EventSender {
  readonly #options: SenderOptions;
  readonly #stop = new AbortController();
  #items: Item[] = [];
  #characters = 0;
  #seq: number;
  #hurry = Promise.withResolvers<void>();
  #progress = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #closing = false;
  #failing = false;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#seq = options.firstSeq ?? 0;
  }

  /** Sends a note, after all that was added before. */
  note(note: StepNote): void {
    this.#push({ note });
    this.#hurry.resolve();
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
  metrics(from: number, lines: MetricsNote['lines']): void {
    for (const [index, line] of lines.entries()) {
      const last = this.#items.at(-1);
      const { length } = JSON.stringify(line);
      this.#characters += length;
      if (last !== undefined && 'metrics' in last && last.metrics.lines.length < BATCH.lines)
        last.metrics.lines.push(line);
      else this.#push({ metrics: { from: from + index, lines: [line] } });
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

  /** Sends what is left, for at most `graceMs`, and ends the sender. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    this.#hurry.resolve();
    const deadline = setTimeout(() => this.stop(), graceMs);
    await this.#running;
    clearTimeout(deadline);
    this.stop();
  }

  /** Ends the sender now: what was not sent is dropped, and so is all that is added later. */
  stop(): void {
    this.#items = [];
    this.#characters = 0;
    this.#stop.abort();
    this.#signalProgress();
  }

  #append(step: Step, stream: LogStream, text: string): void {
    this.#characters += text.length;
    const last = this.#items.at(-1);
    if (last !== undefined && 'chunk' in last && joins(last.chunk, step, stream, text)) {
      last.chunk = { ...last.chunk, text: last.chunk.text + text };
    } else this.#push({ chunk: { seq: this.#seq++, step, stream, text } });
  }

  #push(item: Item): void {
    if (this.#stop.signal.aborted) return;
    this.#items.push(item);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#items.length > 0) {
      await this.#gather();
      await this.#deliver(this.#take());
      this.#signalProgress();
    }
    this.#running = undefined;
  }

  async #gather(): Promise<void> {
    const full = this.#characters >= GATHER_CHARACTERS;
    if (full || this.#closing || this.#items.some((item) => 'note' in item)) return;
    this.#hurry = Promise.withResolvers();
    const timer = setTimeout(() => this.#hurry.resolve(), GATHER_MS);
    await this.#hurry.promise;
    clearTimeout(timer);
  }

  /** Takes the next note, or as much of the log as may be sent at once, and returns the call that sends it. */
  #take(): Task<unknown> {
    const { compute, order, attempt } = this.#options;
    const params = { id: order, attempt };
    const [first] = this.#items;
    if (first !== undefined && 'note' in first) {
      this.#items.shift();
      return async (signal) => await compute.noteStep({ params, body: first.note }, { signal });
    }
    if (first !== undefined && 'metrics' in first) {
      this.#items.shift();
      const { metrics: body } = first;
      for (const line of body.lines) this.#characters -= JSON.stringify(line).length;
      return async (signal) => await compute.noteMetrics({ params, body }, { signal });
    }
    const chunks = this.#takeChunks();
    if (chunks.length === 0) return async () => undefined;
    return async (signal) => await compute.appendLog({ params, body: { chunks } }, { signal });
  }

  #takeChunks(): Chunk[] {
    const chunks: Chunk[] = [];
    let characters = 0;
    for (const item of this.#items) {
      if (!('chunk' in item) || chunks.length === BATCH.chunks) break;
      if (chunks.length > 0 && characters + item.chunk.text.length > BATCH.characters) break;
      chunks.push(item.chunk);
      characters += item.chunk.text.length;
    }
    this.#items.splice(0, chunks.length);
    this.#characters -= characters;
    return chunks;
  }

  /** Never rejects: what is refused, or not sent when the sender ends, is dropped. */
  async #deliver(send: Task<unknown>): Promise<void> {
    const { signal } = this.#stop;
    const retryIf = (error: unknown) => !this.#isFinal(error);
    const onRetry = () => {
      this.#failing = true;
      this.#signalProgress();
    };
    const call = async () => {
      await callPeer('compute-api', signal, send);
      this.#failing = false;
    };
    await retry(call, { ...PAUSES, retryIf, onRetry, signal }).catch(() => undefined);
  }

  #isFinal(error: unknown): boolean {
    if (isPlatformError(error, 'stale_attempt', 'not_found')) {
      this.stop();
      this.#options.onStale();
      return true;
    }
    if (!isPlatformError(error) || error.retry) return false;
    this.#options.log.warn(
      { error },
      'compute-api refused a part of the log, or of the metrics; it is left out',
    );
    return true;
  }

  #signalProgress(): void {
    this.#progress.resolve();
    this.#progress = Promise.withResolvers();
  }
}

function joins(chunk: Chunk, step: Step, stream: LogStream, text: string): boolean {
  return (
    chunk.step === step && chunk.stream === stream && chunk.text.length + text.length <= CHUNK_CHARACTERS
  );
}

/** Where a piece of a text that begins at `at` ends: never between the two halves of one character. */
function pieceEnd(text: string, at: number): number {
  const end = Math.min(text.length, at + CHUNK_CHARACTERS);
  const code = text.charCodeAt(end - 1);
  const splits = end < text.length && code >= 0xd800 && code <= 0xdbff;
  return splits ? end - 1 : end;
}
