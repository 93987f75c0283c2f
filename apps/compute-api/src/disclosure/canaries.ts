import { setImmediate } from 'node:timers/promises';
import { CanarySearch, type CanaryStream } from '@morpheo/common';
import { type LogEntry, wholeLog } from '../attempts/log-store.ts';
import type { ComputeDatabase } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { policyOf } from './shown.ts';

/** How much is looked through before others run: some 5 ms. */
const PIECE_BYTES = 256 * 1024;
/** Of how many orders it is remembered whether their log holds a canary. */
const REMEMBERED = 10_000;

/** A canary in a log: its number in the list of the problem, and what printed it. */
export interface LogHit {
  readonly number: number;
  readonly step: string;
}

/** A piece of log, as far as it is looked at. */
export type LogPiece = Pick<LogEntry['chunk'], 'attempt' | 'step' | 'stream' | 'text'>;

/**
 * Looks for canaries in a log, in what each step of each attempt has printed to each of its streams: a string that was
 * printed in pieces is found as well. Undefined where there are none. Others run in between.
 */
export async function findInLog(
  canaries: readonly string[],
  pieces: AsyncIterable<LogPiece>,
): Promise<LogHit | undefined> {
  if (canaries.length === 0) return undefined;
  const search = new CanarySearch(canaries);
  const streams = new Map<string, CanaryStream>();
  let bytes = 0;
  for await (const { attempt, step, stream: name, text: printed } of pieces) {
    const key = `${attempt} ${step} ${name}`;
    const stream = streams.get(key) ?? search.begin();
    streams.set(key, stream);
    const text = Buffer.from(printed);
    stream.add(text);
    if (stream.hit !== undefined) return { number: stream.hit, step };
    bytes += text.byteLength;
    if (bytes < PIECE_BYTES) continue;
    bytes = 0;
    await setImmediate();
  }
  return undefined;
}

/** Looks for canaries in the logs of orders that have ended: in each once, however many read it. */
export class SearchedLogs {
  readonly #database: Pick<ComputeDatabase, 'read'>;
  /** By the order and its round, for a log grows no more until the order is begun again. */
  readonly #answers = new Map<string, Promise<boolean>>();

  constructor(database: Pick<ComputeDatabase, 'read'>) {
    this.#database = database;
  }

  /** Whether the log of an order that has ended holds a canary of its problem. */
  async holdCanary(order: OrderRow): Promise<boolean> {
    const key = `${order.id} ${order.round}`;
    const answer = this.#answers.get(key) ?? this.#search(order);
    this.#answers.set(key, answer);
    const [oldest] = this.#answers.keys();
    if (oldest !== undefined && this.#answers.size > REMEMBERED) this.#answers.delete(oldest);
    try {
      return await answer;
    } catch (error) {
      this.#answers.delete(key);
      throw error;
    }
  }

  async #search(order: OrderRow): Promise<boolean> {
    const { canaries } = policyOf(order);
    return (await findInLog(canaries, logOf(this.#database, order.id))) !== undefined;
  }
}

/** The whole log of an order as it is now. */
export async function* logOf(
  database: Pick<ComputeDatabase, 'read'>,
  order: string,
): AsyncGenerator<LogPiece> {
  for await (const { chunk } of wholeLog(database, order)) yield chunk;
}
