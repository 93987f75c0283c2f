import { PlatformError } from '@morpheo/common';
import type { Probe, Probes } from './probe.ts';

/** What {@link runCheck} is given. */
export interface CheckRun {
  /** What is wrong with the settings, a sentence each. */
  readonly problems: readonly string[];
  readonly probes: Probes;
  readonly output: { write(text: string): unknown };
  /** How long one part may take, in milliseconds; 5,000 where absent. */
  readonly withinMs?: number;
}

const WITHIN_MS = 5000;
const NAME_WIDTH = 14;

/**
 * Asks all parts side by side and prints a line for each: `ok` with what was found, or `wrong` with the reason and
 * what to do. Throws `unavailable` where anything is wrong.
 */
export async function runCheck({ problems, probes, output, withinMs = WITHIN_MS }: CheckRun): Promise<void> {
  const line = (name: string, state: 'ok' | 'wrong', text: string): void => {
    const all = `${name.padEnd(NAME_WIDTH)}${state.padEnd(7)}${text}`;
    output.write(`${all.trimEnd()}\n`);
  };
  for (const problem of problems) line('settings', 'wrong', problem);
  if (problems.length === 0) line('settings', 'ok', 'well formed, and none contradicts another');
  const asked = Object.entries(probes).map(async ([name, probe]) => ({
    name,
    ...(await askOne(probe, withinMs)),
  }));
  const wrong = problems.length === 0 ? [] : ['settings'];
  for (const answer of asked) {
    const { name, ok, text } = await answer;
    line(name, ok ? 'ok' : 'wrong', text);
    if (!ok) wrong.push(name);
  }
  if (wrong.length > 0)
    throw new PlatformError('unavailable', `Not everything is well: ${wrong.join(', ')}.`);
}

async function askOne({ ask, remedy }: Probe, withinMs: number): Promise<{ ok: boolean; text: string }> {
  const late = AbortSignal.timeout(withinMs);
  const expiry = new Promise<never>((_resolve, reject) => {
    late.addEventListener('abort', () => reject(new Error(`It did not answer within ${withinMs / 1000} s.`)));
  });
  try {
    return { ok: true, text: oneLine(await Promise.race([ask(late), expiry])) };
  } catch (error) {
    const reason = late.aborted
      ? `It did not answer within ${withinMs / 1000} s.`
      : oneLine(error instanceof Error ? error.message : String(error));
    return { ok: false, text: remedy === undefined ? reason : `${sentence(reason)} ${remedy}` };
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
