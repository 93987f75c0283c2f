import { mkdirSync } from 'node:fs';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import { all, type End, type FoundFailure, PlatformError } from '@morpheo/common';
import { span } from '@morpheo/service/trace';
import type { AttemptEvents } from '../attempt/events.ts';
import type { Workspace } from '../attempt/workspace.ts';
import { diskFull, type RoomWatch, roomText, watchRoom } from '../files/disk-full.ts';
import { openTree } from '../files/open-tree.ts';
import type {
  ComingRun,
  ContainerRuntime,
  PreparedImage,
  RunLimits,
  RunOptions,
  RunResult,
  RunSpec,
} from '../runtime/index.ts';
import type { PassedLimit } from '../runtime/run-state.ts';
import type { ContainerStep, Recipe } from './contract.ts';
import { formatBytes, formatDuration } from './format.ts';
import { StepFailure, type StepOutcome } from './step-events.ts';

/** Puts something into the folder of a step: what it reads, or the folders of its mounts (see {@link makeStepFolders}). */
export type Fill = (folder: string) => Promise<void>;

/** A container step of a workflow. */
export interface StepRequest {
  readonly recipe: Recipe;
  readonly image: PreparedImage;
  /** What is to be done while it runs, whichever process of the worker has begun it. */
  readonly beside?: RunOptions['beside'];
}

/** What a {@link StepRunner} works with. */
export interface StepRunnerOptions {
  readonly runtime: ContainerRuntime;
  readonly events: AttemptEvents;
  readonly limits: RunLimits;
  /** The ids of the GPUs that the attempt has. */
  readonly gpus: readonly string[];
  readonly workspace: Workspace;
  readonly signal: AbortSignal;
}

/** Makes the folders that a step's mounts need. */
export async function makeStepFolders({ mounts }: Pick<Recipe, 'mounts'>, folder: string): Promise<void> {
  for (const mount of mounts) mkdirSync(join(folder, mount.folder), { recursive: true });
}

/** With less than this left on its disk a worker is to blame for a program that fails, in bytes. */
const FULL_BYTES = 2 ** 20;

type SetAttributes = (attributes: Record<string, number>) => void;

/** Runs the containers of an attempt, each once even where the worker is started again meanwhile. */
export class StepRunner {
  readonly #options: StepRunnerOptions;
  /** How the folders of steps are filled, in order. */
  readonly #fills = new Map<ContainerStep, Fill[]>();
  /** Folders of steps on their way, with all of their fills up to now. */
  readonly #filling = new Map<ContainerStep, Promise<void>>();

  constructor(options: StepRunnerOptions) {
    this.#options = options;
  }

  /**
   * Begins to fill the folder of a step that is to be run; what it is told of a step before is done before. What that
   * throws, {@link run} throws.
   */
  prepare(step: ContainerStep, fill: Fill): void {
    const { workspace } = this.#options;
    this.#fills.set(step, [...(this.#fills.get(step) ?? []), fill]);
    // What an earlier process of the worker has begun or ended is in its folder.
    if (workspace.journal.step(step) !== undefined) return;
    const before = this.#filling.get(step) ?? workspace.folder(step);
    const filling = before.then(async () => await fill(workspace.at(step)));
    filling.catch(() => undefined);
    this.#filling.set(step, filling);
  }

  /** Tells the runtime that a step is near, which it may make ready for: unless an earlier process of the worker has begun it. */
  warmUp(recipe: Recipe, image: PreparedImage): void {
    const { workspace, runtime } = this.#options;
    if (workspace.journal.step(recipe.step) === undefined) runtime.warmUp?.(this.#comingOf(recipe, image));
  }

  /** Resolves when no folder is being filled any more. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#filling.values());
  }

  /**
   * Sees that the container of a step has run, in its folder as {@link prepare} was told; what it wrote is in the step's folder of the workspace, open to the
   * worker whatever modes the code has left. A container
   * that an earlier process of the worker began is adopted, and one whose end that process saw is not run again, so
   * what is done with the folder afterwards has to bear being done twice, or to be noted in the journal before.
   * Throws {@link StepFailure}, with the limit or exit code and the end of the log, unless the container exits with 0.
   * Errors of the runtime pass through; `disk_full` where the worker's own disk may be to blame.
   */
  async run(request: StepRequest): Promise<StepOutcome> {
    const { step, mounts } = request.recipe;
    const folder = this.#options.workspace.at(step);
    try {
      return await this.#outcome(request);
    } finally {
      for (const mount of mounts) if (!mount.readOnly) await openTree(join(folder, mount.folder));
    }
  }

  async #outcome({ recipe, image, beside }: StepRequest): Promise<StepOutcome> {
    const { workspace, runtime, events } = this.#options;
    const { step } = recipe;
    const progress = workspace.journal.step(step);
    if (progress?.state === 'ended') return this.#judge(recipe, progress.result, { cached: true });
    if (progress?.state === 'begun') {
      const adopted = await this.#watch(recipe, async () => {
        const options = { ...this.#runOptions(step, beside), printed: progress.printed };
        return await runtime.adopt?.(await this.#specOf(recipe, image), options);
      });
      if (adopted !== undefined) return adopted;
      events.log(step, `${step}: its container did not outlive the worker, and is run again`);
    }
    const [spec] = await all(this.#options.signal, [
      async () => await this.#specOf(recipe, image),
      async () => await this.#filled(step),
    ]);
    await workspace.journal.begin(step);
    const outcome = await this.#watch(
      recipe,
      async () => await runtime.run(spec, this.#runOptions(step, beside)),
    );
    return outcome ?? {};
  }

  async #filled(step: ContainerStep): Promise<void> {
    const { workspace } = this.#options;
    const filling = this.#filling.get(step);
    if (filling !== undefined) return await filling;
    const folder = await workspace.folder(step);
    for (const fill of this.#fills.get(step) ?? []) await fill(folder);
  }

  /** What came of a run; undefined where there was nothing to run. */
  async #watch(recipe: Recipe, run: () => Promise<RunResult | undefined>): Promise<StepOutcome | undefined> {
    return await span(`run ${recipe.step}`, {}, async (about) => {
      using room = watchRoom(this.#options.workspace.at(recipe.step));
      const result = await run();
      if (result === undefined) return undefined;
      await refuseOnFullDisk(recipe.step, result, room);
      return this.#judge(recipe, result, {}, (attributes) => about.set(attributes));
    });
  }

  #judge(
    recipe: Recipe,
    result: RunResult,
    { cached }: Pick<StepOutcome, 'cached'>,
    setAttributes?: SetAttributes,
  ): StepOutcome {
    const { step } = recipe;
    const { peakMemoryBytes: peak, cpuSeconds } = result;
    refuseIfKilled(step, result);
    const measured = {
      exit_code: result.exitCode,
      ...(peak === undefined ? {} : { peak_memory_bytes: Math.round(peak) }),
      ...(cpuSeconds === undefined ? {} : { cpu_seconds: cpuSeconds }),
    };
    setAttributes?.(measured);
    const outcome = { ...measured, ranSeconds: result.seconds, ...(cached === undefined ? {} : { cached }) };
    const failed = endOfStep(step, result, this.#limitsOf(recipe));
    if (failed === undefined) return outcome;
    const { end, ...found } = failed;
    throw new StepFailure(end, { ...found, step, log_tail: this.#options.events.tail(step) }, outcome);
  }

  #limitsOf({ limits }: Recipe): RunLimits {
    return withinLimits(this.#options.limits, limits);
  }

  async #specOf(recipe: Recipe, image: PreparedImage): Promise<RunSpec> {
    const { step } = recipe;
    const { workspace } = this.#options;
    return {
      ...this.#comingOf(recipe, image),
      scratch: await workspace.folder(`${step}.scratch`),
      labels: { ...workspace.journal.of, step },
    };
  }

  #comingOf(recipe: Recipe, image: PreparedImage): ComingRun {
    const { step, args, environment, mounts, gpus } = recipe;
    const folder = this.#options.workspace.at(step);
    return {
      image,
      args,
      environment,
      mounts: mounts.map((mount) => ({ ...mount, host: join(folder, mount.folder) })),
      limits: this.#limitsOf(recipe),
      gpus: gpus ? this.#options.gpus : [],
    };
  }

  #runOptions(step: ContainerStep, beside: StepRequest['beside']): RunOptions {
    const { events, workspace, signal } = this.#options;
    const send = events.outputOf(step);
    return {
      signal,
      onOutput: async (chunk) => {
        await send(chunk);
        workspace.journal.printed(step, chunk.bytes.byteLength);
      },
      onEnd: async (result) => await workspace.journal.end(step, result),
      ...(beside === undefined ? {} : { beside }),
    };
  }
}

/** The limits of a worker, or those of an order where they are lower. */
export function withinLimits(limits: RunLimits, own: Recipe['limits'] = {}): RunLimits {
  const least = (name: keyof typeof own) => Math.min(limits[name], own[name] ?? Number.POSITIVE_INFINITY);
  const [wallMs, memoryBytes, diskBytes] = [least('wallMs'), least('memoryBytes'), least('diskBytes')];
  return { ...limits, wallMs, memoryBytes, diskBytes };
}

/** Throws `disk_full` where a program failed while the worker's own disk had no room: it may have failed for that. */
export async function refuseOnFullDisk(
  step: ContainerStep,
  result: RunResult,
  watch: RoomWatch,
): Promise<void> {
  if (result.ended !== 'exited' || result.exitCode === 0) return;
  const room = await watch.least();
  if (room.free >= FULL_BYTES) return;
  const message =
    `The step ${step} ended with exit code ${result.exitCode} while the worker's disk was full ` +
    `(${roomText(room)}): it may have failed for that.`;
  throw diskFull('worker', message);
}

/** Throws `unavailable` where somebody else has killed a program. */
export function refuseIfKilled(step: ContainerStep, { killedBelowLimits }: RunResult): void {
  if (killedBelowLimits !== true) return;
  const message = `The step ${step} was killed from outside, well below its limits: it is tried again.`;
  throw new PlatformError('unavailable', message);
}

/** How a step ended: a row of `ENDS`, and what was found. */
export interface StepEnd extends FoundFailure {
  readonly end: End;
}

/** How a step ends that passes a limit. */
const LIMITS: Record<
  PassedLimit,
  { readonly end: End; readonly did: string; readonly limit: (limits: RunLimits) => string }
> = {
  timed_out: {
    end: 'step_too_slow',
    did: 'ran longer than',
    limit: ({ wallMs }) => formatDuration(wallMs),
  },
  out_of_memory: {
    end: 'step_out_of_memory',
    did: 'needed more memory than',
    limit: ({ memoryBytes }) => formatBytes(memoryBytes),
  },
  output_limit: {
    end: 'step_printed_too_much',
    did: 'printed more than',
    limit: ({ outputBytes }) => formatBytes(outputBytes),
  },
  disk_full: {
    end: 'step_wrote_too_much',
    did: 'wrote more than its limit of',
    limit: ({ diskBytes, diskFiles }) => `${formatBytes(diskBytes)} and ${diskFiles} files`,
  },
};

/** How a step ended whose container did not exit with 0, as a row of `ENDS` and what was found; undefined for all others. */
export function endOfStep(step: ContainerStep, result: RunResult, limits: RunLimits): StepEnd | undefined {
  if (result.ended === 'exited') return result.exitCode === 0 ? undefined : endOfProgram(step, result);
  const { end, did, limit: limitOf } = LIMITS[result.ended];
  const limit = limitOf(limits);
  const { exitCode: exit_code, peakMemoryBytes } = result;
  const peak = peakMemoryBytes === undefined ? {} : { peak: formatBytes(peakMemoryBytes) };
  const ofMemory = result.ended === 'out_of_memory' ? { ...peak, exit_code } : {};
  return { end, message: `The step ${step} ${did} ${limit} and was stopped.`, limit, ...ofMemory };
}

function endOfProgram(step: ContainerStep, { exitCode, notStarted }: RunResult): StepEnd {
  const signal = Object.entries(os.signals).find(([, number]) => number === exitCode - 128)?.[0];
  const how = signal === undefined ? `with exit code ${exitCode}` : `by ${signal} (exit code ${exitCode})`;
  const found = { message: `The step ${step} ended ${how}.`, exit_code: exitCode };
  if (signal === 'SIGBUS')
    return {
      end: 'shared_memory_full',
      ...found,
      message: `${found.message} Most likely /dev/shm was full.`,
    };
  if (signal !== undefined) return { end: 'program_crashed', ...found };
  if (notStarted === undefined) return { end: 'program_failed', ...found };
  return { end: 'program_not_started', ...found, message: `${found.message} ${notStarted}` };
}
