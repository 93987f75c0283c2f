import {
  type BucketPlace,
  type Claim,
  PlatformError,
  type Resource,
  type SheepModel,
  type Step,
} from '@morpheo/common';
import type { TreeLimits } from '@morpheo/service/archive';
import { span } from '@morpheo/service/trace';
import type { Remembered } from '../async/remembered.ts';
import { Checkpoints } from '../beside/checkpoints.ts';
import { MetricsTail } from '../beside/metrics.ts';
import {
  type Connections,
  fetchPrefix,
  type Manifest,
  type Pushed,
  placeName,
  pushPrefix,
  requireFreePlace,
} from '../buckets/index.ts';
import type { OpenStorage } from '../clients.ts';
import type { Placing } from '../files/copy-in.ts';
import type { Cached, CacheRequest } from '../inputs/cache/index.ts';
import type { BlobName } from '../inputs/download.ts';
import type { InputBlob } from '../inputs/fetch.ts';
import type { Image } from '../inputs/images.ts';
import { Supplies, type SupplyOptions, type SupplyParts } from '../inputs/supplies.ts';
import { type Result, stageResult } from '../outputs/stage.ts';
import type { Runners } from '../runners/index.ts';
import type { PreparedImage, RunLimits, RunOptions } from '../runtime/index.ts';
import type { BareModel, Flock } from '../sheep/flock.ts';
import type { ContainerStep, Recipe } from '../steps/contract.ts';
import { count, formatBytes } from '../steps/format.ts';
import { type Fill, StepRunner, withinLimits } from '../steps/run-step.ts';
import { StepFailure, type StepOutcome, StepSpan } from '../steps/step-events.ts';
import { type CallRequest, callStep } from '../warm/call-step.ts';
import { describedAtOnce } from './described-inputs.ts';
import type { AttemptEvents } from './events.ts';
import { type AttemptStorage, ticketedStorage } from './ticketed-storage.ts';
import type { Workspace } from './workspace.ts';

/** The parts of a worker that its attempts share. */
export interface WorkerParts extends SupplyParts {
  readonly openStorage: OpenStorage;
  readonly buckets: Connections;
  /** Programs that stay warm; absent: there are none. */
  readonly runners?: Runners | undefined;
  /** The sheep of Shepherd; absent: there are none. */
  readonly flock?: Flock | undefined;
  /** Which algorithms can be kept warm. */
  readonly declarations: Remembered<boolean>;
  /** The keys of warm runners, by what orders say of them and by what storage holds for those. */
  readonly runnerKeys: Remembered<string>;
}

/** What belongs to one attempt alone. */
export interface AttemptParts {
  readonly claim: Claim;
  readonly workspace: Workspace;
  /** The ids of its GPUs. */
  readonly gpus: readonly string[];
  /** Gives them up: what runs in a warm runner has that runner's. */
  readonly releaseGpus?: () => void;
  readonly events: AttemptEvents;
  /** Aborts the work when the attempt is over; the reason says why. */
  readonly signal: AbortSignal;
  /** What storage lets the attempt do it by, as it is now. */
  readonly ticket: () => string | undefined;
}

/**
 * Runs the container of a step in the step's own folder, filled with what {@link Attempt.prepare} was told of, and
 * returns that folder. `beside` is what is done beside it.
 */
export type RunContainer = (
  image: PreparedImage,
  options?: { readonly beside: RunOptions['beside'] },
) => Promise<string>;

/** A step that is a call in a warm runner; see {@link Attempt.call}. */
export interface AttemptCall<T> extends Omit<CallRequest<T>, 'take'> {
  readonly take: (outputs: string, folder: string) => Promise<T>;
}

/**
 * An attempt whose work is under way, as workflows see it. Disposing stops what is still being prepared, and lets go of
 * the inputs that it uses.
 */
export class Attempt {
  /** Aborts when the attempt is over, or its work has ended. */
  readonly signal: AbortSignal;
  /** The bounds of a tree that its code wrote, or that one of its archives unpacks to. */
  readonly treeLimits: TreeLimits;
  /** What bounds each of its runs, unless that has lower limits of its own. */
  readonly limits: RunLimits;
  /** How files come under a mount that the code may only read. */
  readonly placing: Placing;
  readonly #parts: WorkerParts;
  readonly #storage: AttemptStorage;
  readonly #claim: Claim;
  readonly #workspace: Workspace;
  readonly #events: AttemptEvents;
  readonly #runner: StepRunner;
  readonly #supplies: Supplies;
  readonly #supplyOptions: SupplyOptions;
  readonly #releaseGpus: (() => void) | undefined;
  readonly #ended = new AbortController();

  constructor(
    parts: WorkerParts,
    { claim, workspace, gpus, releaseGpus, events, signal, ticket }: AttemptParts,
  ) {
    const { runtime, limits } = parts;
    this.#parts = parts;
    const calls = parts.openStorage(ticket);
    const ticketed = ticketedStorage(calls, ticket);
    const { order, attempt } = claim;
    const get = describedAtOnce({ ...calls, ...ticketed }, { order, attempt, ticket, signal });
    this.#storage = { ...ticketed, get };
    this.#claim = claim;
    this.#workspace = workspace;
    this.#events = events;
    this.signal = AbortSignal.any([signal, this.#ended.signal]);
    const wallMs = limits.wallMs[claim.spec.kind];
    this.#supplyOptions = {
      storage: this.#storage,
      wallMs,
      log: (step, line) => events.log(step, line),
      buildOutput: (whose) => events.buildOutput(whose),
      signal: this.signal,
    };
    this.#supplies = new Supplies(parts, this.#supplyOptions);
    this.#releaseGpus = releaseGpus;
    ({ treeLimits: this.treeLimits, placing: this.placing } = this.#supplies);
    this.limits = { ...limits.run, wallMs };
    this.#runner = new StepRunner({
      runtime,
      events,
      limits: this.limits,
      gpus,
      workspace,
      signal: this.signal,
    });
  }

  /** Adds a line to the log of the order. */
  log(step: Step, line: string): void {
    this.#events.log(step, line);
  }

  /** A step whose start and end are sent, with its work done in so many pieces. */
  span(step: Step, pieces = 1): StepSpan {
    return new StepSpan(this.#events, step, pieces);
  }

  /** What storage knows of a thing. Throws `OrderFailure` with `input_not_found` where it knows none. */
  async describe(name: BlobName): Promise<Resource> {
    return await this.#supplies.describe(name);
  }

  /** Fetches an input, which stays until the attempt ends. Throws as {@link Supplies.fetch} does. */
  async fetch(name: BlobName, signal: AbortSignal): Promise<InputBlob> {
    return await this.#supplies.fetch(name, signal);
  }

  /** Makes the image of a build context ready to run. Throws as {@link Supplies.image} does. */
  async image(archive: InputBlob, signal: AbortSignal): Promise<Image> {
    return await this.#supplies.image(archive, signal);
  }

  /** Makes the image of a registry ready to run, by its reference with a digest. Throws as {@link Supplies.pull} does. */
  async pull(reference: string): Promise<PreparedImage> {
    const pull = async () => await this.#supplies.pull(reference);
    return await this.span('build').piece(pull, ({ cached }) => ({ cached }));
  }

  /** An entry of the cache, in use until the attempt ends. */
  async cached(wanted: Omit<CacheRequest, 'signal'>): Promise<Cached> {
    return await this.#supplies.cached(wanted);
  }

  /** Tells the runtime that a step is near, which will run in this image; see {@link StepRunner.warmUp}. */
  warmUp(recipe: Recipe, image: PreparedImage): void {
    this.#runner.warmUp(recipe, image);
  }

  /** Begins to fill the folder of a step before that is run; see {@link StepRunner.prepare}. */
  prepare(step: ContainerStep, fill: Fill): void {
    this.#runner.prepare(step, fill);
  }

  /**
   * Does the work of a container step, and sends the step's start and end. The container itself runs when the work
   * calls `run` (see {@link StepRunner.run} for what that throws); a step that never does so was found done.
   */
  async step<T>(recipe: Recipe, work: (run: RunContainer) => Promise<T>): Promise<T> {
    const { step } = recipe;
    const events = this.span(step);
    let outcome: StepOutcome | undefined;
    const run: RunContainer = async (image, options) => {
      outcome = {};
      try {
        outcome = await this.#runner.run({ recipe, image, ...options });
      } catch (error) {
        if (error instanceof StepFailure) outcome = error.outcome;
        throw error;
      }
      return this.#workspace.at(step);
    };
    events.start();
    try {
      const value = await work(run);
      outcome ??= { cached: true };
      return value;
    } finally {
      events.end(outcome ?? {});
    }
  }

  /**
   * Whether an algorithm answers calls of {@link call} here: its image says that it can, there can be such a runner, and what comes of the order may be
   * seen by those who see what comes of others. Undefined: that was not seen yet, and `image`, once it is ready, tells.
   */
  async staysWarm(algo: BlobName, image?: Image): Promise<boolean | undefined> {
    const { runners, declarations } = this.#parts;
    if (runners?.possible !== true || this.#claim.audience === undefined) return false;
    if (runners.refusal(this.ofRunner()) !== undefined) return false;
    if (image !== undefined) declarations.keep(image.digest, image.prepared.runner !== undefined);
    const { sha256 = '' } = await this.describe(algo);
    return declarations.get(sha256);
  }

  /** Whom a warm runner for it serves, and what such has: the limits of the attempt, unless it has lower ones of its own. */
  ofRunner(limits?: Recipe['limits']): {
    readonly owner: string;
    readonly audience: string | undefined;
    readonly gpus: number;
    readonly limits: RunLimits;
  } {
    const { owner = '', audience, gpus } = this.#claim;
    return { owner, audience, gpus, limits: withinLimits(this.limits, limits) };
  }

  /** A model of a bare sheep. Throws `unavailable` where the worker does not have that. */
  bareModel(model: SheepModel): BareModel {
    const { flock } = this.#parts;
    if (flock === undefined) throw new PlatformError('unavailable', 'This worker has no sheep.');
    return flock.model(model);
  }

  /** Where the keys of runners are remembered, and the digest of all that storage holds for the order, where that is known. */
  get knownKeys(): { readonly keys: Remembered<string>; readonly held: string | undefined } {
    return { keys: this.#parts.runnerKeys, held: this.#claim.inputs };
  }

  /** What brings by the rights of the attempt, and until it is disposed, what a warm runner starts with. */
  supplies(signal: AbortSignal): Supplies {
    return new Supplies(this.#parts, { ...this.#supplyOptions, signal });
  }

  /**
   * Has the work of a step done by a warm runner, and sends the step's start and end. `take` gets the folder of the step too,
   * which is made. Throws as {@link callStep} does.
   */
  async call<T>({ step, plan, fill, take }: AttemptCall<T>): Promise<T> {
    const { runners } = this.#parts;
    if (runners === undefined) throw new PlatformError('unavailable', 'This worker keeps nothing warm.');
    const events = this.span(step);
    let outcome: StepOutcome = {};
    events.start();
    try {
      this.#releaseGpus?.();
      // A container of its own was prepared for, before it was known that there is none.
      await this.#runner.settle();
      const folder = await this.#workspace.folder(step);
      const request = { step, plan, fill, take: async (outputs: string) => await take(outputs, folder) };
      const options = { runners, events: this.#events, folder, signal: this.signal };
      const called = await callStep(request, options);
      ({ outcome } = called);
      return called.value;
    } finally {
      events.end(outcome);
    }
  }

  /** Who keeps the checkpoints of the attempt. */
  checkpoints(): Checkpoints {
    const { order, attempt } = this.#claim;
    return new Checkpoints({
      storage: this.#storage,
      of: { order, attempt },
      limits: this.#parts.limits.checkpoints,
      treeLimits: this.treeLimits,
      path: this.#workspace.at('checkpoint.tar'),
      over: this.signal,
      log: (line) => this.log('job', line),
    });
  }

  /** Who tells of the metrics of the attempt. */
  metrics(): MetricsTail {
    return new MetricsTail({
      send: async (from, lines) => await this.#events.metrics(from, [...lines]),
      log: (line) => this.log('job', line),
      over: this.signal,
    });
  }

  /** Whether no other attempt of the order came before it. */
  get isFirst(): boolean {
    return this.#claim.attempt === 1;
  }

  /** The folder of a container step that has run. */
  folderOf(step: ContainerStep): string {
    return this.#workspace.at(step);
  }

  /** Notes that a step is to be run anew should the worker die from here on: what it wrote is being moved away. */
  async startOver(step: ContainerStep): Promise<void> {
    await this.#workspace.journal.forget(step);
  }

  /** Stages a result on storage under this attempt. Throws as {@link stageResult} does. */
  async stage(result: Result): Promise<void> {
    const { meters } = this.#parts;
    const { order, attempt, owner } = this.#claim;
    const to = { storage: this.#storage, order, attempt, owner, signal: this.signal };
    await stageResult(result, to);
    meters.resultStaged(result.size);
  }

  /** Makes a folder of what is at a place of a bucket, at most what the order may have on disk. Throws as {@link fetchPrefix} does. */
  async fetchPlace(from: BucketPlace, into: string): Promise<void> {
    const { signal, treeLimits: limits } = this;
    const { buckets, meters } = this.#parts;
    const { owner } = this.#claim;
    const fetched = await span('fetch from bucket', { connection: from.connection }, async (about) => {
      const came = await fetchPrefix(buckets, from, into, { owner, limits, signal });
      about.set({ files: came.files, bytes: came.bytes });
      return came;
    });
    meters.inputCame(fetched.bytes, false);
    const came = `${count(fetched.files, 'file')}, ${formatBytes(fetched.bytes)}`;
    this.log('inputs', `inputs: ${came} from ${placeName(from)}`);
  }

  /** Makes sure that outputs may go to a place of a bucket. Throws as {@link requireFreePlace} does. */
  async requireFreePlace(to: BucketPlace, inputs: readonly BucketPlace[]): Promise<void> {
    const { order, attempt, owner } = this.#claim;
    const by = { order, attempt, owner, signal: this.signal };
    await requireFreePlace(this.#parts.buckets, to, inputs, by);
  }

  /** Pushes the files of a folder, which is at `at` for the order, to a place of a bucket. Throws as {@link pushPrefix} does. */
  async pushTo(
    to: BucketPlace,
    folder: string,
    { at, outcome }: { readonly at: string; readonly outcome: Manifest['outcome'] },
  ): Promise<Pushed> {
    const { order, attempt, owner } = this.#claim;
    const options = { order, attempt, owner, outcome, at, limits: this.treeLimits, signal: this.signal };
    const pushed = await span('push to bucket', { connection: to.connection }, async () => {
      return await pushPrefix(this.#parts.buckets, folder, to, options);
    });
    const { files } = pushed.manifest;
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    this.log('results', `results: ${count(files.length, 'file')}, ${formatBytes(bytes)} to ${placeName(to)}`);
    return pushed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#runner.settle();
    this.#supplies[Symbol.dispose]();
  }
}
