import { type Readiness, readiness } from '@morpheo/common';

/** What came of asking a service whether it is ready. */
export type Answer =
  | { readonly state: 'ready' | 'not_ready'; readonly milliseconds: number; readonly readiness: Readiness }
  | { readonly state: 'unreachable' | 'unclear'; readonly problem: string };

const PATIENCE_MS = 5_000;

/**
 * Asks a service's `/ready`. A 503 tells the same as a 200, so this reads either; the typed client takes a 503 for
 * an error. An answer that is none of a Morpheo service is `unclear`.
 */
export async function askReadiness(url: string, signal: AbortSignal): Promise<Answer> {
  const started = performance.now();
  const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/ready`, { signal: patience, redirect: 'error' });
    const body = readiness.safeParse(await response.json().catch(() => null));
    const milliseconds = Math.round(performance.now() - started);
    if (!body.success)
      return { state: 'unclear', problem: `answers ${response.status}, but not as this platform` };
    return { state: body.data.status === 'ok' ? 'ready' : 'not_ready', milliseconds, readiness: body.data };
  } catch (error) {
    signal.throwIfAborted();
    return { state: 'unreachable', problem: reasonOf(error) };
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${PATIENCE_MS / 1000} s`;
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}
