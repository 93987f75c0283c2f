import type { LogChunk } from '@morpheo/common';
import type { LogEntry } from '../attempts/log-store.ts';
import type { OrderRow } from '../db/schema.ts';
import type { SearchedLogs } from './canaries.ts';
import { momentFor } from './redact.ts';
import { limitsOf, policyOf, seesNoData, shownOf, type Viewer } from './shown.ts';

/** A log as it is read, of an order as it is known. */
export interface ReadLog {
  /** The whole log, from its beginning. */
  readonly entries: AsyncIterable<LogEntry>;
  readonly order: OrderRow;
  /** Reads the whole log once more, as it is then. */
  readonly again: () => AsyncIterable<LogEntry>;
  /** Asked when the entries have ended: whether no more will come, since the order has ended. */
  readonly isOver: () => boolean;
  readonly searched: SearchedLogs;
}

/**
 * The part of a log that reaches a viewer who does not see all, from after the entry `from`. Its entries are counted by
 * themselves: those of the whole log would tell how much there is in between. The ends of what steps printed come when
 * their attempt is over, for a tail that is followed would tell everything in the end.
 */
export async function* limitedLog(log: ReadLog, viewer: Viewer, from: number): AsyncGenerator<LogEntry> {
  let position = 0;
  for await (const chunk of limitedChunks(log, viewer)) {
    position += 1;
    if (position > from) yield { position, chunk };
  }
}

async function* limitedChunks(log: ReadLog, viewer: Viewer): AsyncGenerator<LogChunk> {
  const { order, entries, again, isOver, searched } = log;
  const { canaries } = policyOf(order);
  yield* noticeOf(order, viewer);
  if (canaries.length === 0) {
    yield* shownChunks(entries, { order, isOver }, viewer);
    return;
  }
  // What may hold a canary is looked through as a whole before anything of it is shown.
  yield* shownChunks(only(entries, order, true), { order, isOver }, viewer);
  if (!isOver() || (await searched.holdCanary(order))) return;
  yield* shownChunks(only(again(), order, false), { order, isOver }, viewer);
}

/** The entries of steps that see no data, or of the others. */
async function* only(
  entries: AsyncIterable<LogEntry>,
  order: OrderRow,
  dataless: boolean,
): AsyncGenerator<LogEntry> {
  for await (const entry of entries) if (seesNoData(order, entry.chunk.step) === dataless) yield entry;
}

async function* shownChunks(
  entries: AsyncIterable<LogEntry>,
  { order, isOver }: Pick<ReadLog, 'order' | 'isOver'>,
  viewer: Viewer,
): AsyncGenerator<LogChunk> {
  let tails = new Tails();
  let attempt = 0;
  for await (const { chunk } of entries) {
    if (chunk.attempt !== attempt) {
      yield* tails.chunks();
      tails = new Tails();
      attempt = chunk.attempt;
    }
    const shown = shownOf(viewer, order, chunk.step);
    const at = new Date(momentFor(viewer, order, attempt, Date.parse(chunk.at))).toISOString();
    if (shown === 'all') yield { ...chunk, at };
    else if (typeof shown === 'object') tails.add({ ...chunk, at }, shown.last_bytes);
  }
  if (isOver()) yield* tails.chunks();
}

/** Says what is left out: the same for every order, whatever its steps printed. */
function noticeOf(order: OrderRow, viewer: Viewer): LogChunk[] {
  const steps = Object.entries(limitsOf(viewer, order) ?? {}).flatMap(([step, shown]) => {
    if (shown === 'all') return [];
    return [typeof shown === 'object' ? `${step} but for its last ${shown.last_bytes} bytes` : step];
  });
  if (steps.length === 0) return [];
  const text = `What these steps print is not shown to you, since they see data that you may not read: ${steps.join(', ')}.\n`;
  const place = { attempt: 1, step: 'inputs', stream: 'platform' } as const;
  return [{ at: new Date(order.created_at).toISOString(), ...place, text }];
}

/** The ends of what the steps of an attempt printed: of each so many bytes. */
class Tails {
  readonly #steps = new Map<string, { readonly most: number; bytes: number; readonly chunks: LogChunk[] }>();

  add(chunk: LogChunk, most: number): void {
    const tail = this.#steps.get(chunk.step) ?? { most, bytes: 0, chunks: [] };
    this.#steps.set(chunk.step, tail);
    tail.chunks.push(chunk);
    tail.bytes += Buffer.byteLength(chunk.text);
    for (let [first] = tail.chunks; first !== undefined; [first] = tail.chunks) {
      const without = tail.bytes - Buffer.byteLength(first.text);
      if (without < most) break;
      tail.chunks.shift();
      tail.bytes = without;
    }
  }

  *chunks(): Generator<LogChunk> {
    for (const { most, bytes, chunks } of this.#steps.values()) {
      const [first, ...rest] = chunks;
      if (first !== undefined) yield { ...first, text: withoutStart(first.text, Math.max(0, bytes - most)) };
      yield* rest;
    }
  }
}

/** A text without its first bytes, and without the rest of a character that this would cut. */
function withoutStart(text: string, bytes: number): string {
  const rest = Buffer.from(text).subarray(bytes);
  const start = rest.findIndex((byte) => (byte & 0xc0) !== 0x80);
  return start === -1 ? '' : rest.subarray(start).toString();
}
