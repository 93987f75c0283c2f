import { type Loaded, type Settings, type SettingsOf, settingsOrPrint } from '../config/index.ts';
import type { Probes } from './probe.ts';
import { runCheck } from './run-check.ts';

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
