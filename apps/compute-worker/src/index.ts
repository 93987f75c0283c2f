export { type DockerRuntimeOptions, openDockerRuntime } from './container-runtime/docker.ts';
export type { DummyRuntime, DummyRuntimeOptions, DummyScript } from './container-runtime/dummy.ts';
export { openDummyRuntime } from './container-runtime/dummy.ts';
export type { ContainerRuntime } from './container-runtime/index.ts';
export { openProcessRuntime } from './container-runtime/process.ts';
export { Crew, type CrewOptions } from './crew.ts';
export { DEFAULT_LIMITS, type WorkerLimits } from './limits.ts';
export type { Work, WorkSignals } from './work.ts';
export { startWorker, type Worker, type WorkerOptions } from './worker.ts';
