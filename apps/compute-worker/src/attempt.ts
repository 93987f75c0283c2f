import type { Api, Claim, ComputeContract, Report, StepRecord } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { inScope, silentTracer, span, type Tracer } from '@morpheo/service/trace';
import { AttemptFeed } from './attempt-feed.ts';
import { silentMeters, type WorkerMeters } from './meters.ts';
import { reportAttempt } from './report.ts';
import { AttemptOver, verdictOn } from './verdict.ts';
import type { Work } from './work.ts';

/** What attempts run with. */
export interface AttemptOptions {
  readonly compute: Pick<Api<ComputeContract>, 'noteStep' | 'appendLog' | 'reportAttempt'>;
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
 * leaves nothing behind. `over` ends it early, with an {@link AttemptOver} as the reason: the work is stopped, and
 * nothing is reported unless the order is to be given back.
 */
export async function runAttempt(
  claim: Claim,
  over: AbortController,
  options: AttemptOptions,
): Promise<void> {
  const { order, attempt, spec, traceparent } = claim;
  const { tracer = silentTracer, meters = silentMeters } = options;
  const { kind } = spec;
  meters.attemptBegan(kind);
  await inScope({ tracer, traceparent, order, attempt }, async () => {
    await span('attempt', { kind }, async (told) => {
      const report = await attemptOnce(claim, over, options);
      const failure = report !== null && 'failure' in report ? report.failure : undefined;
      const outcome = report?.outcome ?? 'dropped';
      meters.attemptEnded(kind, outcome, failure?.reason);
      told.set({ outcome, ...(failure === undefined ? {} : { 'error.type': failure.reason }) });
    });
  });
}

/** Resolves with what was to be reported, whether or not compute-api has heard it. */
async function attemptOnce(
  claim: Claim,
  over: AbortController,
  options: AttemptOptions,
): Promise<Report | null> {
  const { order, attempt, spec } = claim;
  const { compute, logBytes: limitBytes, meters } = options;
  const log = options.log.child({ order, attempt, kind: spec.kind });
  const onStale = () => over.abort(new AttemptOver('stale'));
  const onStep = (record: StepRecord) => meters?.stepEnded(spec.kind, record);
  const target = { compute, order, attempt, log, over: over.signal };
  const feed = new AttemptFeed({ ...target, onStale, onStep, limitBytes, firstSeq: claim.log_seq });
  const startedAt = performance.now();
  log.info({}, 'An attempt began');
  let report: Report | null = null;
  try {
    report = await conclude(claim, over.signal, feed, { ...options, log });
    if (report !== null) {
      await feed.close(LOG_GRACE_MS);
      await reportAttempt({ ...target, report });
    }
    const seconds = Math.round(performance.now() - startedAt) / 1000;
    log.info({ outcome: report?.outcome ?? 'dropped', seconds }, 'An attempt ended');
  } catch (error) {
    log.error({ error }, 'How an attempt ended could not be reported');
  } finally {
    feed.stop();
  }
  return report;
}

/** Does the work, and says what to report of it; null for nothing. */
async function conclude(
  claim: Claim,
  signal: AbortSignal,
  feed: AttemptFeed,
  { work, log }: AttemptOptions,
): Promise<Report | null> {
  try {
    return { outcome: 'done', result: await work(claim, { feed, signal }) };
  } catch (error) {
    const report = verdictOn(error, signal, feed);
    if (report?.outcome === 'error')
      log.error({ error, step: feed.step }, 'An attempt failed by our own doing');
    if (report !== null && 'failure' in report) {
      feed.say(report.failure.step ?? feed.step, `${report.outcome}: ${report.failure.message}`);
    }
    return report;
  }
}
