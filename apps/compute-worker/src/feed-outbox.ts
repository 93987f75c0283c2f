import { type Api, type ComputeContract, type Input, isPlatformError, type Step } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { orAborted, pause } from './abort.ts';
import { answered } from './patience.ts';

type Endpoints = ComputeContract['endpoints'];

/** That a step started, or ended with what it took. */
export type StepNote = Input<Endpoints['noteStep']>['body'];

type Chunk = Input<Endpoints['appendLog']>['body']['chunks'][number];

/** Who printed: the code that runs, or we. */
export type LogStream = Chunk['stream'];

/** Where a {@link FeedOutbox} sends to. */
export interface FeedTarget {
  readonly compute: Pick<Api<ComputeContract>, 'noteStep' | 'appendLog'>;
  readonly order: string;
  readonly attempt: number;
  readonly log: Log;
  /** Aborts when the attempt is over: then nobody waits for room any more. */
  readonly over: AbortSignal;
  /** Called when compute-api answers that this attempt is over: nothing more is sent. */
  readonly onStale: () => void;
  /** The number of the first piece of the log; 0 where absent. */
  readonly firstSeq?: number | undefined;
}

const GATHER_MS = 250;
const GATHER_CHARACTERS = 32_768;
const CHUNK_CHARACTERS = 16_384;
const BATCH = { chunks: 100, characters: 65_536 };
/** Above this whoever prints has to wait, as long as compute-api takes what it is sent. */
const ROOM_CHARACTERS = 262_144;
const RETRY_MS = { first: 100, most: 2000 };

type Item = { readonly note: StepNote } | { chunk: Chunk };

/**
 * Sends what an attempt has to tell, in order and one call at a time: notes at once, log text gathered for up to
 * 250 ms or 32 KiB. A call that fails is repeated until it goes through or the outbox is closed; it never fails the
 * attempt.
 */
export class FeedOutbox {
  readonly #target: FeedTarget;
  readonly #stop = new AbortController();
  #items: Item[] = [];
  #characters = 0;
  #seq: number;
  #hurry = Promise.withResolvers<void>();
  #progress = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #closing = false;
  #failing = false;

  constructor(target: FeedTarget) {
    this.#target = target;
    this.#seq = target.firstSeq ?? 0;
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

  /** Resolves when there is room for more text; at once while compute-api does not answer, so that it holds up nobody. */
  async room(): Promise<void> {
    const { over } = this.#target;
    while (
      this.#characters > ROOM_CHARACTERS &&
      !this.#failing &&
      !over.aborted &&
      !this.#stop.signal.aborted
    ) {
      await orAborted(this.#progress.promise, over).catch(() => undefined);
    }
  }

  /** Sends what is left, for at most `graceMs`, and ends the outbox. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    this.#hurry.resolve();
    const deadline = setTimeout(() => this.stop(), graceMs);
    await this.#running;
    clearTimeout(deadline);
    this.stop();
  }

  /** Ends the outbox now; what it holds is dropped, and so is all that is added later. */
  stop(): void {
    this.#items = [];
    this.#characters = 0;
    this.#stop.abort();
    this.#tellProgress();
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
      this.#tellProgress();
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

  #take(): StepNote | Chunk[] {
    const [first] = this.#items;
    if (first !== undefined && 'note' in first) {
      this.#items.shift();
      return first.note;
    }
    const batch: Chunk[] = [];
    let characters = 0;
    for (const item of this.#items) {
      if ('note' in item || batch.length === BATCH.chunks) break;
      if (batch.length > 0 && characters + item.chunk.text.length > BATCH.characters) break;
      batch.push(item.chunk);
      characters += item.chunk.text.length;
    }
    this.#items.splice(0, batch.length);
    this.#characters -= characters;
    return batch;
  }

  async #deliver(what: StepNote | Chunk[]): Promise<void> {
    const { signal } = this.#stop;
    for (let wait = RETRY_MS.first; !signal.aborted; wait = Math.min(2 * wait, RETRY_MS.most)) {
      try {
        await this.#send(what);
        this.#failing = false;
        return;
      } catch (error) {
        if (signal.aborted || this.#isFinal(error)) return;
        this.#failing = true;
        this.#tellProgress();
        await pause(wait, signal).catch(() => undefined);
      }
    }
  }

  async #send(what: StepNote | Chunk[]): Promise<void> {
    const { compute, order, attempt } = this.#target;
    const params = { id: order, attempt };
    if (Array.isArray(what) && what.length === 0) return;
    await answered('compute-api', this.#stop.signal, async (signal) => {
      if (Array.isArray(what)) await compute.appendLog({ params, body: { chunks: what } }, { signal });
      else await compute.noteStep({ params, body: what }, { signal });
    });
  }

  #isFinal(error: unknown): boolean {
    if (isPlatformError(error, 'stale_attempt', 'not_found')) {
      this.stop();
      this.#target.onStale();
      return true;
    }
    if (!isPlatformError(error) || error.retry) return false;
    this.#target.log.warn({ error }, 'compute-api refused a part of the log; it is left out');
    return true;
  }

  #tellProgress(): void {
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
