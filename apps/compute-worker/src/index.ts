export { type AgentOptions, WorkerAgent } from './agent/agent.ts';
export type { Work, WorkSignals } from './attempt/work.ts';
export { DEFAULT_LIMITS, type WorkerLimits } from './config/limits.ts';
export { type DockerRuntimeOptions, openDockerRuntime } from './runtime/docker/index.ts';
export type { DummyRuntime, DummyRuntimeOptions, DummyScript } from './runtime/dummy/index.ts';
export { openDummyRuntime } from './runtime/dummy/index.ts';
export type { ContainerRuntime } from './runtime/index.ts';
export { openProcessRuntime } from './runtime/process/index.ts';
export { startWorker, type Worker, type WorkerOptions } from './worker.ts';
