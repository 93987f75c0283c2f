import {
  type Api,
  type ComputeContract,
  failureOf,
  isPlatformError,
  type Report,
  retry,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { span } from '@morpheo/service/trace';
import { callPeer } from '../clients.ts';
import { AttemptAborted } from './outcome.ts';

/** A report, and whose it is. */
export interface Reporting {
  readonly compute: Pick<Api<ComputeContract>, 'reportAttempt'>;
  readonly order: string;
  readonly attempt: number;
  readonly report: Report;
  /** Aborts with an {@link AttemptAborted} when the attempt is over. */
  readonly over: AbortSignal;
  readonly log: Log;
}

/** How long a worker that stops goes on reporting, in milliseconds. */
const RELEASE_MS = 3000;

/**
 * Reports how an attempt ended, again and again until compute-api answers or the attempt is lost. The
 * same report may arrive twice, and is answered the same. A late one is refused, and that is the end of it.
 */
export async function reportAttempt(reporting: Reporting): Promise<void> {
  const { log, report } = reporting;
  using held = whileHeld(reporting.over);
  try {
    await span('report', { outcome: report.outcome }, () => send(reporting, report, held.signal));
  } catch (error) {
    if (held.signal.aborted || isPlatformError(error, 'stale_attempt', 'not_found')) {
      log.warn({ outcome: report.outcome, error }, 'The report was dropped, for the attempt is lost');
      return;
    }
    log.error({ outcome: report.outcome, error }, 'compute-api refused the report');
    if (report.events !== undefined) {
      // It may be these that it refuses.
      const { events: _, ...alone } = report;
      await reportAttempt({ ...reporting, report: alone });
      return;
    }
    const message = 'The worker could not report how the attempt ended; its log says why.';
    await send(
      reporting,
      { outcome: 'error', failure: failureOf('platform_failed', { message }) },
      held.signal,
    );
  }
}

async function send(
  { compute, order, attempt }: Reporting,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const params = { id: order, attempt };
  const call = async () =>
    await callPeer('compute-api', signal, (stop) =>
      compute.reportAttempt({ params, body: report }, { signal: stop }),
    );
  await retry(call, { firstMs: 200, mostMs: 2000, jitter: 0.5, signal });
}

/** A signal that aborts when the attempt is lost, and a while after it is to be given back. */
function whileHeld(over: AbortSignal): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    const stop = () => controller.abort(over.reason);
    const released = over.reason instanceof AttemptAborted && over.reason.reason === 'released';
    if (released) timer = setTimeout(stop, RELEASE_MS);
    else stop();
  };
  if (over.aborted) end();
  else over.addEventListener('abort', end, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      over.removeEventListener('abort', end);
    },
  };
}
