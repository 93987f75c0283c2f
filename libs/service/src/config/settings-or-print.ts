import type { Loaded } from './load.ts';
import type { Settings, SettingsOf } from './settings.ts';

/**
 * The settings to run with; undefined where a text was asked for instead (help, the version), which is then printed.
 * For a program with `canCheck` see `settingsOrCheck` of `../check`.
 */
export function settingsOrPrint<S extends Settings>(
  loaded: Loaded<S>,
  output: { write(text: string): unknown } = process.stdout,
): SettingsOf<S> | undefined {
  if (loaded.kind === 'settings') return loaded.values;
  if (loaded.kind === 'check') throw new TypeError('This program does not know how to check itself.');
  output.write(`${loaded.text}\n`);
  return undefined;
}
