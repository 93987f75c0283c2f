export type { CreateLog } from './create-log.ts';
export { createLog } from './create-log.ts';
export type { Log, LogFields, LogLevel } from './log.ts';
export { LOG_LEVELS, silentLog } from './log.ts';
export type { LogEntry, MemoryLog } from './memory-log.ts';
export { memoryLog } from './memory-log.ts';
export type { LineWriter } from './pretty.ts';
export { standardOutput } from './standard-output.ts';
