import { access, readFile, stat } from 'node:fs/promises';
import { machine } from 'node:os';
import { join } from 'node:path';
import { OrderFailure, PlatformError, sleep } from '@morpheo/common';
import { Beside, readHost } from '../beside.ts';
import { demandRunnable, WorkUnderWay } from '../driver.ts';
import type {
  AnyRun,
  BuildContext,
  ContainerRuntime,
  FindGpusOptions,
  Gpu,
  PreparedImage,
  PrepareOptions,
  RunOptions,
  RunResult,
  RunSpec,
} from '../index.ts';
import { onWallLimit } from '../run-state.ts';
import { type DummyBehaviour, type DummyScript, type DummyStep, parseScript } from './behaviour.ts';
import { behave } from './contract.ts';

export type { DummyBehaviour, DummyScript, DummyStep } from './behaviour.ts';

/** What to open the dummy with. */
export interface DummyRuntimeOptions {
  /**
   * What runs do, by step, or a function that is asked at each call. A `dummy.json` of the build context comes before
   * it. Where neither says anything, a step does what the container contract asks of it.
   */
  readonly script?: DummyScript | ((call: DummyCall) => DummyBehaviour | undefined);
  /** The GPUs that it has, or the error with which it fails to find them; none where absent. */
  readonly gpus?: readonly Gpu[] | Error;
  /** How many runs may have one GPU at once; 1 where absent. */
  readonly gpuSlots?: number;
}

/** A call of `prepare` (step `build`) or `run`. */
export interface DummyCall {
  readonly step: DummyStep;
  /** Of the build context. */
  readonly digest: string;
  /** How many calls of the same step there were before. */
  readonly nth: number;
  readonly spec?: RunSpec;
}

/** The dummy, and what was asked of it. */
export interface DummyRuntime extends ContainerRuntime {
  readonly calls: readonly DummyCall[];
  /** What its caller did against the contract, a sentence each; every one was thrown as well. */
  readonly misuses: readonly string[];
}

/**
 * Opens the runtime for tests: it starts nothing, does in a few milliseconds what the container contract asks of each
 * step, and misbehaves on request. It also checks its caller: who runs what was not prepared, uses a scratch folder
 * twice, mounts what is not there, hands out a GPU once too often, or calls after the end, gets an error that says so.
 */
export function openDummyRuntime(options: DummyRuntimeOptions = {}): DummyRuntime {
  return new Dummy(options);
}

class Dummy implements DummyRuntime {
  readonly name = 'dummy';
  readonly isolates = true;
  readonly calls: DummyCall[] = [];
  readonly misuses: string[] = [];
  readonly #options: DummyRuntimeOptions;
  readonly #images = new Map<string, { readonly context: BuildContext; readonly script: DummyScript }>();
  readonly #prepared = new Set<string>();
  readonly #scratches = new Set<string>();
  readonly #gpusInUse: string[] = [];
  readonly #work = new WorkUnderWay();
  #recoveries = 0;

  constructor(options: DummyRuntimeOptions) {
    this.#options = options;
  }

  async prepare(context: BuildContext, options: PrepareOptions): Promise<PreparedImage> {
    this.#work.demandOpen();
    options.signal.throwIfAborted();
    const cached = this.#prepared.has(context.digest);
    const script = await readScript(context.folder);
    const reference = `dummy:${context.digest}:${context.folder}`;
    this.#images.set(reference, { context, script });
    if (!cached) {
      const call = this.#record('build', context.digest);
      await this.#misbehave(script.build ?? this.#scripted(call), options);
    }
    this.#prepared.add(context.digest);
    return { reference, cached };
  }

  async run(spec: AnyRun, options: RunOptions): Promise<RunResult> {
    if (spec.writable !== undefined) throw this.#misuse('it has no runners');
    return await this.#work.do(options.signal, (signal) => this.#run(spec, { ...options, signal }));
  }

  async recover(): Promise<void> {
    this.#work.demandOpen();
    if (this.#recoveries > 0 || this.calls.length > 0)
      throw this.#misuse('recover is called once, before anything else');
    this.#recoveries += 1;
  }

  async machine(): Promise<string> {
    return machine();
  }

  async gpus({ signal }: FindGpusOptions): Promise<readonly Gpu[]> {
    signal.throwIfAborted();
    const { gpus = [] } = this.#options;
    if (gpus instanceof Error) throw gpus;
    return gpus;
  }

  async ping(): Promise<void> {
    this.#work.demandOpen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#work.close(this.name);
  }

  async #run(spec: RunSpec, options: RunOptions): Promise<RunResult> {
    const image = this.#images.get(spec.image.reference);
    if (image === undefined) throw this.#misuse('it runs an image that was not prepared');
    await this.#demandFolders(spec, image.context);
    await demandRunnable(spec).catch((error: Error) => {
      throw this.#misuse(error.message);
    });
    using _gpus = this.#useGpus(spec.gpus ?? []);
    const { step } = spec.labels;
    if (step === 'inputs' || step === 'build' || step === 'results')
      throw this.#misuse(`${step} is no container`);
    const call = this.#record(step, image.context.digest, spec);
    const behaviour = image.script[step] ?? this.#scripted(call) ?? {};
    const start = performance.now();
    const timeout = new AbortController();
    using _limit = onWallLimit(spec.limits.wallMs, () => timeout.abort());
    const signal = AbortSignal.any([options.signal, timeout.signal]);
    try {
      await this.#misbehave(behaviour, { ...options, signal });
      const ended = await this.#behave(step, behaviour, spec, options);
      options.signal.throwIfAborted();
      return { ...ended, ...figures(start) };
    } catch (error) {
      options.signal.throwIfAborted();
      if (!timeout.signal.aborted) throw error;
      return { ended: 'timed_out', exitCode: 137, ...figures(start) };
    }
  }

  async #demandFolders({ scratch }: RunSpec, context: BuildContext): Promise<void> {
    if (this.#scratches.has(scratch))
      throw this.#misuse(`the scratch folder ${scratch} was used by another run`);
    this.#scratches.add(scratch);
    for (const path of [context.folder, scratch]) {
      const stats = await stat(path).catch(() => undefined);
      if (stats?.isDirectory() !== true) throw this.#misuse(`the folder ${path} is not there`);
    }
  }

  async #behave(
    step: Exclude<DummyStep, 'build'>,
    behaviour: DummyBehaviour,
    spec: RunSpec,
    options: RunOptions,
  ): Promise<Pick<RunResult, 'ended' | 'exitCode'>> {
    const faults: unknown[] = [];
    const fail = (error: unknown) => void faults.push(error);
    const beside = new Beside(spec, options, { read: readHost, state: { fail } });
    try {
      const ended = await behave(step, behaviour, spec, options.onOutput);
      await beside.end(ended.exitCode);
      if (faults.length > 0) throw faults[0];
      return ended;
    } finally {
      await beside.end();
    }
  }

  #useGpus(ids: readonly string[]): Disposable {
    const { gpus = [], gpuSlots = 1 } = this.#options;
    const available = gpus instanceof Error ? [] : gpus;
    for (const id of ids) {
      if (!available.some((gpu) => gpu.id === id)) throw this.#misuse(`there is no GPU ${id}`);
      const uses = [...this.#gpusInUse, ...ids].filter((other) => other === id).length;
      if (uses > gpuSlots) throw this.#misuse(`the GPU ${id} is given to ${uses} runs at once`);
    }
    this.#gpusInUse.push(...ids);
    return {
      [Symbol.dispose]: () => {
        for (const id of ids) this.#gpusInUse.splice(this.#gpusInUse.indexOf(id), 1);
      },
    };
  }

  async #misbehave(
    behaviour: DummyBehaviour | undefined,
    options: PrepareOptions | RunOptions,
  ): Promise<void> {
    if (behaviour?.sleep_ms !== undefined) await sleep(behaviour.sleep_ms, options.signal);
    if (behaviour?.throw === 'build_failed') {
      throw new OrderFailure('dockerfile_wrong', {
        message: 'The dummy was told to fail to build.',
        step: 'build',
      });
    }
    if (behaviour?.throw === undefined) return;
    throw new PlatformError(behaviour.throw, `The dummy was told to throw ${behaviour.throw}.`);
  }

  #scripted(call: DummyCall): DummyBehaviour | undefined {
    const { script } = this.#options;
    return typeof script === 'function' ? script(call) : script?.[call.step];
  }

  #record(step: DummyStep, digest: string, spec?: RunSpec): DummyCall {
    const nth = this.calls.filter((call) => call.step === step).length;
    const call = spec === undefined ? { step, digest, nth } : { step, digest, nth, spec };
    this.calls.push(call);
    return call;
  }

  #misuse(fault: string): Error {
    const message = `The caller of the container runtime is wrong: ${fault}.`;
    this.misuses.push(message);
    return new Error(message);
  }
}

/** Some figures, so that whoever shows them has something to show. */
function figures(start: number): Pick<RunResult, 'seconds' | 'peakMemoryBytes' | 'cpuSeconds'> {
  const seconds = (performance.now() - start) / 1000;
  return { seconds, peakMemoryBytes: 1024 * 1024, cpuSeconds: seconds };
}

async function readScript(folder: string): Promise<DummyScript> {
  try {
    await access(join(folder, 'Dockerfile'));
  } catch (error) {
    const message = 'The archive has no Dockerfile at its root.';
    throw new OrderFailure('build_archive_broken', { message, file: 'Dockerfile' }, error);
  }
  const text = await readFile(join(folder, 'dummy.json'), 'utf8').catch(() => '{}');
  return parseScript(text);
}
