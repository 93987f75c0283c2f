import { type Api, type ComputeContract, isPlatformError, type Report } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { span } from '@morpheo/service/trace';
import { answered, mayPass, patiently } from './patience.ts';
import { AttemptOver } from './verdict.ts';

/** A report, and whose it is. */
export interface Reporting {
  readonly compute: Pick<Api<ComputeContract>, 'reportAttempt'>;
  readonly order: string;
  readonly attempt: number;
  readonly report: Report;
  /** Aborts with an {@link AttemptOver} when the attempt is over. */
  readonly over: AbortSignal;
  readonly log: Log;
}

/** How long a worker that stops goes on reporting, in milliseconds. */
const RELEASE_MS = 3000;

/**
 * Reports how an attempt ended, again and again until compute-api answers or the attempt is not ours any more. The
 * same report may arrive twice, and is answered the same. A late one is refused, and that is the end of it.
 */
export async function reportAttempt(reporting: Reporting): Promise<void> {
  const { log, report } = reporting;
  using ours = whileOurs(reporting.over);
  try {
    await span('report', { outcome: report.outcome }, () => send(reporting, report, ours.signal));
  } catch (error) {
    if (ours.signal.aborted || isPlatformError(error, 'stale_attempt', 'not_found')) {
      log.warn(
        { outcome: report.outcome, error },
        'The report was dropped, for the attempt is not ours any more',
      );
      return;
    }
    log.error({ outcome: report.outcome, error }, 'compute-api refused the report');
    const message = 'The worker could not report how the attempt ended; its log says why.';
    await send(reporting, { outcome: 'error', failure: { reason: 'internal', message } }, ours.signal);
  }
}

async function send(
  { compute, order, attempt }: Reporting,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  await patiently({ signal, firstMs: 100, mostMs: 2000, worth: mayPass }, async () => {
    const params = { id: order, attempt };
    await answered('compute-api', signal, (stop) =>
      compute.reportAttempt({ params, body: report }, { signal: stop }),
    );
  });
}

/** A signal that aborts when the attempt is lost, and a while after it was told to be given back. */
function whileOurs(over: AbortSignal): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    const stop = () => controller.abort(over.reason);
    const released = over.reason instanceof AttemptOver && over.reason.why === 'released';
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
