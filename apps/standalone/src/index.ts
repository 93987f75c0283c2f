export { type Connection, publishConnection } from './connection.ts';
export { type Platform, type PlatformOptions, startPlatform } from './platform.ts';
export { credentialEntries, makeTicketKeyFile, readOrMakeSecrets, type Secrets } from './secrets.ts';
