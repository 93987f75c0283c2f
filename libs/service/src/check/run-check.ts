import { PlatformError } from '@morpheo/common';
import { type Loaded, type Settings, type SettingsOf, settingsOrPrint } from '../config/index.ts';

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
 * Asks all parts side by side and prints a line for each: `ok` with what was found, `warn` where that
 * had better be changed, or `wrong` with the reason and what to do. Throws `unavailable` where anything is wrong.
 */
export async function runCheck({ problems, probes, output, withinMs = WITHIN_MS }: CheckRun): Promise<void> {
  const line = (name: string, state: 'ok' | 'warn' | 'wrong', text: string): void => {
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
    const { name, state, text } = await answer;
    line(name, state, text);
    if (state === 'wrong') wrong.push(name);
  }
  if (wrong.length > 0)
    throw new PlatformError('unavailable', `Not everything is well: ${wrong.join(', ')}.`);
}

interface Answer {
  readonly state: 'ok' | 'warn' | 'wrong';
  readonly text: string;
}

async function askOne({ ask, remedy, warn }: Probe, withinMs: number): Promise<Answer> {
  const late = AbortSignal.timeout(withinMs);
  const expiry = new Promise<never>((_resolve, reject) => {
    late.addEventListener('abort', () => reject(new Error(`It did not answer within ${withinMs / 1000} s.`)));
  });
  try {
    const found = oneLine(await Promise.race([ask(late), expiry]));
    const warning = await Promise.race([warn?.(late), expiry]);
    if (warning === undefined) return { state: 'ok', text: found };
    return { state: 'warn', text: `${found}. ${oneLine(warning)}` };
  } catch (error) {
    const reason = late.aborted
      ? `It did not answer within ${withinMs / 1000} s.`
      : oneLine(error instanceof Error ? error.message : String(error));
    return { state: 'wrong', text: remedy === undefined ? reason : `${sentence(reason)} ${remedy}` };
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** One part that a service needs, looked at from outside: nothing is changed by it, and nothing stays open. */
export interface Probe {
  /** Resolves with what was found, in a few words; rejects with what is wrong. */
  readonly ask: (signal: AbortSignal) => Promise<string>;
  /** What to do where it is wrong, in a sentence; absent where the error says so itself. */
  readonly remedy?: string;
  /** Asked where that is well: what had better be changed all the same, in a sentence; undefined where nothing. */
  readonly warn?: (signal: AbortSignal) => Promise<string | undefined>;
}

/** The parts that a service needs, by name, in the order in which they are told. */
export type Probes = Readonly<Record<string, Probe>>;

/**
 * The settings to run with; undefined where something else was asked for, which is then done: help or the version is
 * printed, or the parts that the settings name are asked, a line each. Throws `unavailable` where one is not well.
 */
export async function settingsOrCheck<S extends Settings>(
  loaded: Loaded<S>,
  probesOf: (values: SettingsOf<S>) => Probes,
  output: { write(text: string): unknown } = process.stdout,
): Promise<SettingsOf<S> | undefined> {
  if (loaded.kind !== 'check') return settingsOrPrint(loaded, output);
  const { values, problems } = loaded;
  await runCheck({ problems, probes: values === undefined ? {} : probesOf(values), output });
  return undefined;
}
