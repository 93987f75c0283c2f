export { isLoopback, type OpenListen, refuseOpenListen } from './bind.ts';
export { type Authenticate, type CredentialEntry, credentials } from './credentials.ts';
export { readCredentials } from './credentials-file.ts';
export type { Limits } from './limits.ts';
export { type HttpServer, type ListenOptions, listen } from './listen.ts';
export { type ApiInfo, openApiDocument } from './openapi.ts';
export type { Check } from './ready.ts';
export { hashSecret } from './scrypt.ts';
export { createHttpApp, type HttpApp, type ServeOptions } from './serve.ts';
