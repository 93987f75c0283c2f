import type { Failure, JobStatus, OrderView } from '@morpheo/common';

/** What a model is called; parts that nobody said are null. */
export type ModelName = JobStatus['model'];

/** How a job stands, and whether it has ended. */
export interface Standing {
  readonly status: JobStatus;
  readonly ended: boolean;
}

/** A time of /v1 as the original writes it: in UTC, with microseconds and without a zone. */
export function timeOf(timestamp: string | undefined): string | null {
  return timestamp === undefined ? null : new Date(timestamp).toISOString().replace(/(\.\d{3})Z$/, '$1000');
}

/** How a job stands whose order is not known yet, or any more. */
export function queuedStatus(model: ModelName, now: Date): JobStatus {
  return {
    ...{ status: 'queued', error_details: null, model },
    ...{ enqueued_at: timeOf(now.toISOString()), processing_started_at: null, finished_at: null },
  };
}

/** How a job stands, as its order has it. */
export function statusOf(order: OrderView, model: ModelName): JobStatus {
  return {
    status: wordOf(order),
    error_details: errorOf(order),
    model,
    enqueued_at: timeOf(order.created_at),
    processing_started_at: timeOf(order.started_at),
    finished_at: timeOf(order.ended_at),
  };
}

/** How a job stands whose outputs are not what can be kept. */
export function failedBy(status: JobStatus, message: string): JobStatus {
  return { ...status, status: 'failed', error_details: details(message) };
}

function wordOf({ status }: OrderView): JobStatus['status'] {
  if (status === 'done') return 'done';
  if (status === 'failed' || status === 'cancelled') return 'failed';
  return status === 'pending' ? 'processing' : 'queued';
}

function errorOf({ status, failure }: OrderView): JobStatus['error_details'] {
  if (status === 'cancelled') return details('The job was cancelled');
  if (status !== 'failed') return null;
  return failure === undefined ? details('The job failed') : detailsOf(failure);
}

/** What the program said itself, where it did; else what the platform found. */
function detailsOf({ exception, reason, message, log_tail: tail }: Failure) {
  if (exception !== undefined) {
    const { type = null, traceback = null } = exception;
    return { message: exception.message, exception_type: type, exception_traceback: traceback };
  }
  return { message, exception_type: reason, exception_traceback: tail?.join('\n') ?? null };
}

function details(message: string) {
  return { message, exception_type: null, exception_traceback: null };
}
