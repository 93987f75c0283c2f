import { type AttemptEvent, gather, MOST_METRICS, PlatformError, type Settled } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import { type Beside, type ComputeDatabase, runTogether, type Tx } from '../db/database.ts';
import { CHANNELS } from '../orders/changes.ts';
import { makeChanges, type OrderChange } from '../orders/store.ts';
import { type CalledAttempt, type KnownAttempt, type TakenAttempt, takeAttempts } from './fence.ts';

/** The most bytes of log that an attempt may leave here; a worker bounds it lower. */
export const MOST_LOG_BYTES = 16 * 1024 * 1024;

/** An {@link AttemptEvent} whose number may be missing: then it is no matter whether it was told before. */
export type ToldEvent = AttemptEvent | Unnumbered<AttemptEvent>;

type Unnumbered<E> = E extends AttemptEvent ? Omit<E, 'seq'> & { readonly seq?: undefined } : never;

/** Events that an attempt tells of, oldest first. */
export interface Telling {
  readonly ref: CalledAttempt;
  readonly events: readonly ToldEvent[];
}

/** So many attempts tell of their events in one transaction. */
const TOGETHER = 50;
/** So many of these transactions are under way at once. */
const ROUNDS = 4;

/**
 * What writes down the events of attempts that run, each once: all of a call or none, and calls that come together in one
 * transaction. Throws as `takeFenced` does; `too_large` where an attempt's log is full, `invalid_request` where metrics
 * leave lines out, or are of no job.
 */
export function teller(database: ComputeDatabase): (telling: Telling) => Promise<void> {
  const tellAll = async (calls: readonly Telling[]) =>
    await database.write(async (tx) => await noteAll(tx, calls));
  return gather<Telling, void>(
    async (calls) => {
      // What only one of them is to blame for shall not keep the others from being told.
      const noted = await tellAll(calls).catch(async (error: unknown) => {
        if (calls.length === 1) throw error;
        return (await Promise.allSettled(calls.map(async (call) => await tellAll([call])))).map(only);
      });
      // The log is no part of the history, so that this is no change of the order: its followers alone look again.
      for (const { ref, events } of calls)
        if (events.some(({ what }) => what === 'log')) database.notify(CHANNELS.news, ref.order);
      return noted;
    },
    { most: TOGETHER, rounds: ROUNDS },
  );
}

function only(answer: Settled<Settled<void>[]>): Settled<void> {
  if (answer.status === 'rejected') return answer;
  return answer.value[0] ?? { status: 'fulfilled', value: undefined };
}

async function noteAll(tx: Tx, calls: readonly Telling[]): Promise<Settled<void>[]> {
  const refs = calls.map(({ ref }) => ref);
  const taken = await takeAttempts(tx, refs);
  const seen = new Set<string>();
  const answers: Settled<void>[] = [];
  for (const [index, { ref, events }] of calls.entries()) {
    // Sent again while the first was under way: what it has changed is read anew.
    const again = seen.has(ref.order) ? (await takeAttempts(tx, [ref]))[0] : taken[index];
    seen.add(ref.order);
    answers.push(await noteOne(tx, again, events));
  }
  return answers;
}

/** Only what was thrown before anything was written is answered; all else breaks the transaction off. */
async function noteOne(
  tx: Tx,
  taken: Settled<TakenAttempt> | undefined,
  events: readonly ToldEvent[],
): Promise<Settled<void>> {
  if (taken?.status !== 'fulfilled') return { status: 'rejected', reason: taken?.reason };
  let told: Told;
  try {
    taken.value.requireCurrent();
    told = toldBy(tx, taken.value, events);
  } catch (reason) {
    return { status: 'rejected', reason };
  }
  const { order } = taken.value;
  const { changes, counts, logs } = told;
  const counted = tx.db
    .updateTable('attempts')
    .set(counts)
    .where('order_id', '=', order.id)
    .where('attempt', '=', order.attempt)
    .returning('attempt');
  if (changes.length > 0) await makeChanges(tx, order, changes, { beside: [counted, ...logs] });
  else if (events.length > 0) await runTogether(tx, counted, logs);
  return { status: 'fulfilled', value: undefined };
}

/** What events come to: changes of their order, what their attempt counts since, and what writes its log. */
export interface Told {
  readonly changes: readonly OrderChange[];
  readonly counts: Pick<KnownAttempt, 'log_bytes' | 'metrics' | 'noted'>;
  readonly logs: readonly Beside[];
}

/**
 * What the events of an attempt come to that were not told before. What does not fit is left out with `lenient`, and thrown
 * without.
 */
export function toldBy(
  tx: Tx,
  { order, known }: TakenAttempt,
  events: readonly ToldEvent[],
  { lenient = false } = {},
): Told {
  const changes: OrderChange[] = [];
  const logs: LogEvent[] = [];
  let { log_bytes, metrics, noted } = known;
  for (const event of events) {
    if (event.seq !== undefined && event.seq < known.noted) continue;
    noted = Math.max(noted, event.seq === undefined ? 0 : event.seq + 1);
    try {
      const at = timeOf(tx, known, event);
      switch (event.what) {
        case 'started':
          changes.push({ event: 'step_started', at, details: { step: event.step } });
          break;
        case 'ended':
          changes.push({ event: 'step_ended', at, details: event.record });
          break;
        case 'log':
          requireRoom(log_bytes + Buffer.byteLength(event.text));
          log_bytes += Buffer.byteLength(event.text);
          logs.push(event);
          break;
        case 'metrics': {
          const added = newLines(order, metrics, event);
          const kept = added.slice(0, Math.max(0, MOST_METRICS.lines - metrics));
          if (kept.length > 0)
            changes.push({ event: 'metrics', at, details: { from: metrics, lines: kept } });
          metrics += added.length;
        }
      }
    } catch (error) {
      if (!lenient) throw error;
    }
  }
  const written = logs.length === 0 ? [] : [piecesOf(tx, order, known, logs)];
  return { changes, counts: { log_bytes, metrics, noted }, logs: written };
}

/** How many lines of metrics an attempt has told of. */
export async function countedLines(
  { read }: Pick<ComputeDatabase, 'read'>,
  { order, attempt }: CalledAttempt,
): Promise<number> {
  const { metrics } = await read
    .selectFrom('attempts')
    .select('metrics')
    .where('order_id', '=', order)
    .where('attempt', '=', attempt)
    .executeTakeFirstOrThrow();
  return metrics;
}

type LogEvent = Extract<ToldEvent, { what: 'log' }>;
type MetricsEvent = Extract<ToldEvent, { what: 'metrics' }>;

/** When an event happened: not before its attempt, by the database's clock. */
function timeOf(
  { now }: Tx,
  { started_at }: KnownAttempt,
  { ago_ms = 0 }: Pick<AttemptEvent, 'ago_ms'>,
): RawBuilder<number> {
  if (ago_ms === 0) return now;
  // Values, and no literals: each text is a statement that is prepared and kept.
  const start = sql<number>`cast(${started_at} as bigint)`;
  const at = sql<number>`${now} - cast(${ago_ms} as bigint)`;
  return sql<number>`case when ${at} > ${start} then ${at} else ${start} end`;
}

function requireRoom(bytes: number): void {
  if (bytes <= MOST_LOG_BYTES) return;
  throw new PlatformError('too_large', `The log of an attempt holds at most ${MOST_LOG_BYTES} bytes.`);
}

/** Those of the lines that are not there, where `known` are. */
function newLines(
  { id, kind }: TakenAttempt['order'],
  known: number,
  { from, lines }: Pick<MetricsEvent, 'from' | 'lines'>,
): MetricsEvent['lines'] {
  if (kind !== 'job')
    throw new PlatformError('invalid_request', `params.id: the order ${id} is no job, and has no metrics`);
  if (from > known)
    throw new PlatformError(
      'invalid_request',
      `body.from: should be ${known} at the most, for no line is left out`,
    );
  return lines.slice(known - from);
}

function piecesOf(
  tx: Tx,
  { id: order_id, attempt }: TakenAttempt['order'],
  known: KnownAttempt,
  logs: readonly LogEvent[],
) {
  const rows = logs.map((event) => ({
    ...{ order_id, attempt, step: event.step, stream: event.stream, seq: event.seq ?? 0 },
    at: timeOf(tx, known, event),
    // PostgreSQL keeps no NUL in a text, and a container may print anything.
    text: event.text.replaceAll('\0', '\u2400'),
  }));
  return tx.db
    .insertInto('logs')
    .values(rows)
    .onConflict((conflict) => conflict.columns(['order_id', 'attempt', 'seq']).doNothing());
}
