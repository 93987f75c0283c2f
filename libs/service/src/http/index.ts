export type { AdmitClassic } from './access/access.ts';
export {
  type Access,
  type AccessConfig,
  accessSettings,
  type OpenAccess,
  openAccess,
  readTls,
} from './access/access-settings.ts';
export {
  isLoopback,
  type OpenIntake,
  type OpenListen,
  openIntakeProblem,
  refuseOpenListen,
} from './access/bind.ts';
export {
  type Asking,
  type Authenticate,
  type Callers,
  createCallers,
  credentials,
} from './access/credentials.ts';
export { type FileCredential, readCredentials, writeCredentials } from './access/credentials-file.ts';
export {
  directoryEntries,
  type FollowDirectory,
  type FollowedDirectory,
  followDirectory,
  tellShadowed,
} from './access/directory.ts';
export type { CredentialEntry } from './access/known-callers.ts';
export { hashSecret } from './access/scrypt.ts';
export { type FollowedTicketKeys, followTicketKeys } from './access/ticket-key-file.ts';
export {
  instanceSigner,
  instanceVerifier,
  openTicketKeys,
  type SignInstance,
  type SignTicket,
  type TicketKeys,
  ticketKeySettings,
  ticketKeysOf,
  ticketSigner,
  ticketVerifier,
  type VerifyTicket,
} from './access/tickets.ts';
export { type ApiInfo, openApiDocument } from './documents/openapi.ts';
export type { RateLimits } from './rates/guard.ts';
export {
  type RateConfig,
  rateLimitsOf,
  rateSettings,
  streamLimitsOf,
  streamSettings,
} from './rates/settings.ts';
export type { StreamLimits } from './rates/streams.ts';
export { chunksOf, type Line } from './routes/lines.ts';
export type { Limits } from './routes/parse-input.ts';
export {
  type HttpServer,
  type ListenOptions,
  type ListenTls,
  listen,
} from './server/listen.ts';
export { type Check, checksOf, type Warn } from './server/ready.ts';
export { createHttpApp, type HttpApp, type ServeOptions } from './server/serve.ts';
