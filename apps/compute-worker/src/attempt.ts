import type { Api, Claim, ComputeContract, OrderResult, Report } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { AttemptFeed } from './attempt-feed.ts';
import { reportAttempt } from './report.ts';
import { AttemptOver, verdictOn } from './verdict.ts';
import type { AttemptTools, WorkerParts } from './workflows/attempt-tools.ts';
import { learn } from './workflows/learn.ts';
import { predict } from './workflows/predict.ts';
import type { Workspaces } from './workspace.ts';

/** What attempts run with. */
export interface AttemptOptions {
  readonly compute: Pick<Api<ComputeContract>, 'noteStep' | 'appendLog' | 'reportAttempt'>;
  readonly parts: WorkerParts;
  readonly workspaces: Workspaces;
  readonly log: Log;
}

/** How long sending the end of the log may hold up the report, in milliseconds. */
const LOG_GRACE_MS = 5000;

/**
 * Runs a claimed order to its end: its workspace, its workflow, and the report of how that ended. Never throws, and
 * leaves nothing behind. `over` ends it early, with an {@link AttemptOver} as the reason: the work is stopped, and
 * nothing is reported unless the order is to be given back.
 */
export async function runAttempt(
  claim: Claim,
  over: AbortController,
  options: AttemptOptions,
): Promise<void> {
  const { order, attempt, spec } = claim;
  const { compute, parts } = options;
  const log = options.log.child({ order, attempt, kind: spec.kind });
  const onStale = () => over.abort(new AttemptOver('stale'));
  const limitBytes = parts.limits.logBytes;
  const feed = new AttemptFeed({ compute, order, attempt, log, over: over.signal, onStale, limitBytes });
  const startedAt = performance.now();
  log.info({}, 'An attempt began');
  try {
    const report = await conclude(claim, over.signal, feed, { ...options, log });
    if (report !== null) {
      await feed.close(LOG_GRACE_MS);
      await reportAttempt({ compute, order, attempt, report, over: over.signal, log });
    }
    const seconds = Math.round(performance.now() - startedAt) / 1000;
    log.info({ outcome: report?.outcome ?? 'dropped', seconds }, 'An attempt ended');
  } catch (error) {
    log.error({ error }, 'How an attempt ended could not be reported');
  } finally {
    feed.stop();
  }
}

/** Does the work, cleans up after it, and says what to report; null for nothing. */
async function conclude(
  claim: Claim,
  signal: AbortSignal,
  feed: AttemptFeed,
  { parts, workspaces, log }: AttemptOptions,
): Promise<Report | null> {
  const { order, attempt, spec } = claim;
  try {
    await using workspace = await workspaces.open(order, attempt);
    using held = new DisposableStack();
    const tools = { ...parts, kind: spec.kind, order, attempt, feed, workspace, held, signal };
    return { outcome: 'done', result: await work(claim, tools) };
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

async function work({ spec }: Claim, tools: AttemptTools): Promise<OrderResult> {
  switch (spec.kind) {
    case 'learn':
      return await learn(spec.uplet, tools);
    case 'predict':
      return await predict(spec.uplet, tools);
  }
}
