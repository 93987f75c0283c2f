export { findProgram, partsFolder, requireProgram } from './place.ts';
export type { ServerOptions, ServerProcess } from './server-process.ts';
export { startServer } from './server-process.ts';
export type { Part } from './with-parts.ts';
export { withParts } from './with-parts.ts';
