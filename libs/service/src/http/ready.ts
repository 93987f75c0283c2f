import type { Readiness } from '@morpheo/common';

/** Asks one part that the service needs; throws, with the reason in one line, where it does not answer. */
export type Check = (signal: AbortSignal) => Promise<void>;

/** How long one part may take to answer, in milliseconds. */
const BOUND_MS = 2000;

/** Asks all parts side by side, each for at most two seconds. Never throws. */
export async function readinessOf(checks: Readonly<Record<string, Check>>): Promise<Readiness> {
  const dependencies = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const problem = await problemOf(check);
      return problem === undefined ? { name, ok: true } : { name, ok: false, problem };
    }),
  );
  return { status: dependencies.every(({ ok }) => ok) ? 'ok' : 'unavailable', dependencies };
}

/** What is wrong with a part, in one line; undefined where it answers within two seconds. Never throws. */
export async function problemOf(check: Check): Promise<string | undefined> {
  const signal = AbortSignal.timeout(BOUND_MS);
  try {
    await Promise.race([check(signal), expiry(signal)]);
    return undefined;
  } catch (cause) {
    if (signal.aborted) return `did not answer within ${BOUND_MS} ms`;
    return (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0] ?? '';
  }
}

function expiry(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
}
