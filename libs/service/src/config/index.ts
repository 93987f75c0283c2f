export type { Loaded, LoadSettings, SettingsFile } from './load.ts';
export { loadSettings, settingsOrPrint } from './load.ts';
export {
  listenSettings,
  logSettings,
  type Peer,
  type PeerSettings,
  pairProblems,
  peerOf,
  peerSettings,
  unusedFlags,
  unusedSetting,
} from './presets.ts';
export { hasCredentials, Secret, type SecretFile, withoutCredentials } from './secret.ts';
export type { Setting, Settings, SettingsOf } from './settings.ts';
export { defineSettings } from './settings.ts';
export { duration, size } from './units.ts';
