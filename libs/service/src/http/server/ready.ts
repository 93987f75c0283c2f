import type { Readiness } from '@morpheo/common';
import type { Descriptors } from './descriptors.ts';

/** Asks one part that the service needs; throws, with the reason in one line, where it does not answer. */
export type Check = (signal: AbortSignal) => Promise<void>;

/** Asks one part that answers whether somebody should change something about it: what, in one line. */
export type Warn = (signal: AbortSignal) => Promise<string | undefined>;

/** Parts that always answer, for what is to be warned of alone. */
export function checksOf(warnings: Readonly<Record<string, Warn>>): Readonly<Record<string, Check>> {
  return Object.fromEntries(Object.keys(warnings).map((name) => [name, async () => undefined]));
}

/** How long one part may take to answer, in milliseconds. */
const BOUND_MS = 2000;

/**
 * Asks all parts side by side, each for at most two seconds, and for warnings of those that answer; `descriptors` are
 * among them where there is something to tell of them. Never throws.
 */
export async function readinessOf(
  checks: Readonly<Record<string, Check>>,
  warnings: Readonly<Record<string, Warn>> = {},
  descriptors?: Descriptors,
): Promise<Readiness> {
  const own = await descriptors?.readiness();
  const asked = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      let warning: string | undefined;
      const problem = await problemOf(async (signal) => {
        await check(signal);
        warning = await warnings[name]?.(signal);
      });
      if (problem !== undefined) return { name, ok: false, problem };
      return { name, ok: true, ...(warning === undefined ? {} : { warning }) };
    }),
  );
  const dependencies = own === undefined ? asked : [...asked, own];
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
