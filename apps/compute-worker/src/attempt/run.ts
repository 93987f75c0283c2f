import type { Api, Claim, ComputeContract, Report, StepRecord } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { inScope, silentTracer, span, type Tracer } from '@morpheo/service/trace';
import type { WorkerMeters } from '../metrics.ts';
import { AttemptEvents } from './events.ts';
import { AttemptAborted, reportOf } from './outcome.ts';
import { reportAttempt } from './report.ts';
import type { Work, WorkSignals } from './work.ts';

/** What attempts run with. */
export interface AttemptOptions {
  readonly compute: Pick<Api<ComputeContract>, 'noteEvents' | 'reportAttempt'>;
  readonly work: Work;
  /** How much of an attempt's log is kept, in bytes. */
  readonly logBytes: number;
  /** Where attempts are counted; nowhere where absent. */
  readonly meters?: WorkerMeters | undefined;
  /** Makes attempts spans of the traces of their orders. */
  readonly tracer?: Tracer | undefined;
  readonly log: Log;
}

/** How long sending the end of the log may hold up the report, in milliseconds. */
const LOG_GRACE_MS = 5000;

/**
 * Runs a claimed order to its end: its work, and the report of how that ended. Never throws, and
 * leaves nothing behind. `over` ends it early, with an {@link AttemptAborted} as the reason: the work is stopped, and
 * nothing is reported unless the order is to be given back. `ticket` is that of the last renewal.
 */
export async function runAttempt(
  claim: Claim,
  over: AbortController,
  options: AttemptOptions,
  ticket: () => string | undefined = () => claim.ticket,
): Promise<void> {
  const { order, attempt, spec, traceparent } = claim;
  const { tracer = silentTracer, meters } = options;
  const { kind } = spec;
  meters?.attemptBegan(kind);
  await inScope({ tracer, traceparent, order, attempt }, async () => {
    await span('attempt', { kind }, async (about) => {
      const report = await attemptOnce(claim, over, options, ticket);
      const failure = report !== null && 'failure' in report ? report.failure : undefined;
      const outcome = report?.outcome ?? 'dropped';
      meters?.attemptEnded(kind, outcome, failure?.reason);
      about.set({ outcome, ...(failure === undefined ? {} : { 'error.type': failure.reason }) });
    });
  });
}

/** Resolves with what was to be reported, whether or not compute-api has heard it. */
async function attemptOnce(
  claim: Claim,
  over: AbortController,
  options: AttemptOptions,
  ticket: () => string | undefined,
): Promise<Report | null> {
  const { order, attempt, spec } = claim;
  const { compute, logBytes: limitBytes, meters } = options;
  const log = options.log.child({ order, attempt, kind: spec.kind });
  const onStale = () => over.abort(new AttemptAborted('stale'));
  const onStep = (record: StepRecord) => meters?.stepEnded(spec.kind, record);
  const target = { compute, order, attempt, log, over: over.signal };
  const events = new AttemptEvents({ ...target, onStale, onStep, limitBytes, firstSeq: claim.log_seq });
  const startedAt = performance.now();
  log.info({}, 'An attempt began');
  await using behind = new AsyncDisposableStack();
  let report: Report | null = null;
  try {
    report = await conclude(claim, { events, signal: over.signal, ticket, behind }, { ...options, log });
    if (report !== null) {
      const last = await events.close(LOG_GRACE_MS);
      await reportAttempt({ ...target, report: { ...report, events: last } });
    }
    const seconds = Math.round(performance.now() - startedAt) / 1000;
    log.info({ outcome: report?.outcome ?? 'dropped', seconds }, 'An attempt ended');
  } catch (error) {
    log.error({ error }, 'How an attempt ended could not be reported');
  } finally {
    events.stop();
  }
  return report;
}

/** Does the work, and says what to report of it; null for nothing. */
async function conclude(
  claim: Claim,
  signals: WorkSignals,
  { work, log }: AttemptOptions,
): Promise<Report | null> {
  const { events, signal } = signals;
  try {
    return { outcome: 'done', result: await work(claim, signals) };
  } catch (error) {
    const report = reportOf(error, signal, events);
    if (report?.outcome === 'error')
      log.error({ error, step: events.step }, 'An attempt failed, and not by its order');
    if (report !== null && 'failure' in report) {
      events.log(report.failure.step ?? events.step, `${report.outcome}: ${report.failure.message}`);
    }
    return report;
  }
}
