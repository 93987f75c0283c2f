import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Job, Learnuplet, Preduplet, Report } from '@morpheo/common';
import { rawTarGz, temporaryFolder } from '@morpheo/service/archive/testing';
import type { Broker } from '@morpheo/service/broker';
import { memoryLog } from '@morpheo/service/log';
import { DEFAULT_LIMITS, type WorkerLimits } from '../config/limits.ts';
import type { DummyScript } from '../index.ts';
import { type DummyRuntimeOptions, openDummyRuntime } from '../runtime/dummy/index.ts';
import type { ContainerRuntime, RunSpec } from '../runtime/index.ts';
import { startWorker, type WorkerOptions } from '../worker.ts';
import { MemoryCompute, type TestOrder } from './memory-compute.ts';
import { MemoryStorage } from './memory-storage.ts';
import { jobOrder, learnOrder, predictOrder } from './orders.ts';

/** What a test may want to be otherwise. */
export interface TestWorkerOptions
  extends Partial<
    Pick<
      WorkerOptions,
      | 'slots'
      | 'images'
      | 'labels'
      | 'sheep'
      | 'gpus'
      | 'gpuSlots'
      | 'cacheBytes'
      | 'pollMs'
      | 'graceMs'
      | 'metrics'
      | 'runners'
      | 'buckets'
    >
  > {
  readonly script?: DummyRuntimeOptions['script'];
  /** What the dummy waits for before it begins a run: its folders are as the worker made them, and stay. */
  readonly before?: (spec: RunSpec) => Promise<void>;
  /** The GPUs of the dummy. */
  readonly machineGpus?: DummyRuntimeOptions['gpus'];
  /** In place of the dummy. */
  readonly openRuntime?: (folder: string) => Promise<ContainerRuntime>;
  readonly broker?: Broker;
  readonly limits?: Partial<WorkerLimits>;
  readonly compute?: MemoryCompute;
  /** Where the worker's folder is made; the system's place for temporary files where absent. */
  readonly parent?: string | undefined;
}

/** A worker with all that it needs, in memory and in a folder that goes with it. */
export async function openTestWorker(options: TestWorkerOptions = {}) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder(options.parent));
  const {
    compute = new MemoryCompute(),
    openRuntime,
    script,
    machineGpus: gpus,
    limits,
    before = async () => undefined,
    parent: _,
    ...rest
  } = options;
  // With a broker its messages alone bring orders; without one the worker has to ask.
  const pollMs = options.broker === undefined ? 100 : 600_000;
  const storage = new MemoryStorage();
  const log = memoryLog();
  const dummy = openDummyRuntime({
    ...(script === undefined ? {} : { script }),
    ...(gpus === undefined ? {} : { gpus }),
    ...(options.gpuSlots === undefined ? {} : { gpuSlots: options.gpuSlots }),
  });
  const run = dummy.run.bind(dummy);
  dummy.run = async (spec, runOptions) => {
    if (spec.writable === undefined) await before(spec);
    return await run(spec, runOptions);
  };
  const runtime = stack.use(openRuntime === undefined ? dummy : await openRuntime(folder.path));
  const worker = stack.use(
    await startWorker({
      ...{
        compute: compute.api,
        openStorage: (ticket) => storage.seenBy(ticket),
        runtime,
        folder: folder.path,
        log,
      },
      ...{ name: 'test', slots: { learn: 1, predict: 1, job: 1 }, pollMs, graceMs: 10_000 },
      limits: { ...DEFAULT_LIMITS, ...limits },
      ...rest,
    }),
  );
  const opened = stack.move();
  return {
    ...{ worker, compute, storage, log, dummy, folder: folder.path },
    /** Places a training order whose inputs are there. */
    learn: (members: Partial<Learnuplet> = {}) =>
      compute.place(learnOrder({ ...learnInputs(storage), ...members })),
    /** Places a prediction order whose inputs are there; `files` are those of the model. */
    predict: (members: Partial<Preduplet> = {}, files?: Record<string, string>) =>
      compute.place(predictOrder({ ...predictInputs(storage, files), ...members })),
    /** Places a job that runs an algorithm: what the dummy takes, where the job names none. */
    job: (members: Partial<Job> = {}, script?: DummyScript) =>
      compute.place(jobOrder({ algo: storage.put('algo', contextArchive(script)), ...members })),
    /** What lies in the folder of workspaces. */
    workspaces: async () => await readdir(join(folder.path, 'work')),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** The archive of a build context that the dummy takes; every one has other bytes. */
export function contextArchive(script: DummyScript = {}): Buffer {
  return rawTarGz([
    { name: 'Dockerfile', body: `FROM scratch\n# ${randomUUID()}\n` },
    { name: 'dummy.json', body: JSON.stringify(script) },
  ]);
}

/** The archive of a model of these files. */
export function modelArchive(files: Record<string, string>): Buffer {
  return rawTarGz(Object.entries(files).map(([name, body]) => ({ name, body })));
}

/** Puts the inputs of a training on storage. */
export function learnInputs(storage: MemoryStorage): Partial<Learnuplet> {
  return {
    workflow: storage.put('problem', contextArchive()),
    algo: storage.put('algo', contextArchive()),
    train_data: [storage.put('data', 'train one'), storage.put('data', 'train two')],
    test_data: [storage.put('data', 'test one')],
  };
}

function predictInputs(
  storage: MemoryStorage,
  files: Record<string, string> = { 'model_trained.json': '{}' },
): Partial<Preduplet> {
  const algo = storage.put('algo', contextArchive());
  return {
    model: storage.put('model', modelArchive(files), { algo }),
    data: storage.put('data', 'what is it?'),
  };
}

/** The one report of an order. */
export function reportOf(order: TestOrder): Report {
  const [report, another] = order.reports;
  if (report !== undefined && another === undefined) return report;
  throw new Error(`The order has ${order.reports.length} reports.`);
}

/** The failure of an order that was reported as failed, or as our error. */
export function failureOf(order: TestOrder, outcome: 'failed' | 'error' = 'failed') {
  const report = reportOf(order);
  if (report.outcome === outcome) return report.failure;
  throw new Error(`The order was reported as ${JSON.stringify(report)}.`);
}

/** The result of an order that was reported as done. */
export function resultOf(order: TestOrder) {
  const report = reportOf(order);
  if (report.outcome === 'done') return report.result;
  throw new Error(`The order was reported as ${JSON.stringify(report)}.`);
}
