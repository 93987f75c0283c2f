export type { Loaded, LoadSettings } from './load.ts';
export { loadSettings } from './load.ts';
export { hasCredentials, withoutCredentials } from './mask.ts';
export { Secret } from './secret.ts';
export type { Setting, Settings, SettingsOf } from './settings.ts';
export { defineSettings } from './settings.ts';
export { settingsOrPrint } from './settings-or-print.ts';
export { duration, size } from './units.ts';
