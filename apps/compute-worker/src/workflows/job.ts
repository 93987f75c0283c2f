import { join } from 'node:path';
import {
  JOB_FOLDERS,
  type Job,
  OrderFailure,
  type OrderResult,
  PlatformError,
  type RunnerProtocol,
} from '@morpheo/common';
import type { Attempt } from '../attempt/attempt.ts';
import { FailureWithResult } from '../attempt/outcome.ts';
import type { Checkpoints } from '../beside/checkpoints.ts';
import { type Gathered, gather } from '../inputs/gather.ts';
import { mountsOf, placeInputs, placesOf, resourcesOf } from '../inputs/job-inputs.ts';
import { packOutputs } from '../outputs/pack-outputs.ts';
import { scoresIn } from '../outputs/scores.ts';
import type { LiveRun, PreparedImage } from '../runtime/index.ts';
import type { Recipe } from '../steps/contract.ts';
import { makeStepFolders } from '../steps/run-step.ts';
import { StepFailure } from '../steps/step-events.ts';
import { fillCall, splitInputs, takeOutputs } from '../warm/call-files.ts';
import { planRunner } from '../warm/plan.ts';

/** By these a program finds its folders, also where they have other names than the container contract gives them. */
const FOLDER_VARIABLES = { MORPHEO_OUTPUTS: JOB_FOLDERS.outputs, MORPHEO_CHECKPOINT: JOB_FOLDERS.checkpoint };

const OUTPUTS = { folder: 'outputs', container: JOB_FOLDERS.outputs, readOnly: false };
const CHECKPOINT = { folder: 'checkpoint', container: JOB_FOLDERS.checkpoint, readOnly: false };
/** Where a program appends its metrics, a line of JSON each. */
const METRICS_FILE = `${OUTPUTS.container}/metrics.jsonl`;

/**
 * Runs an image, or an algorithm, with a command on its inputs. Resolves when what it left in its folder of outputs is
 * staged on storage, or pushed to a bucket. A job that says `warm` is a call in a warm runner. Where any other program has failed, throws {@link FailureWithResult}: that much is
 * kept too.
 */
export async function job(order: Job, attempt: Attempt): Promise<OrderResult> {
  const { inputs = [], outputs = {}, warm } = order;
  const { bucket } = outputs;
  // What is not allowed is told before anything is fetched.
  if (bucket !== undefined) await attempt.requireFreePlace(bucket, placesOf(inputs));
  if (warm !== undefined) {
    await call({ ...order, warm }, attempt);
    return await keepOutputs(order, 'done', attempt);
  }
  const pulled = order.image === undefined ? undefined : await attempt.pull(order.image);
  const checkpoints = attempt.checkpoints();
  const onBlobs = (blob: Gathered['blob']) =>
    attempt.prepare('job', async (folder) => {
      await placeInputs(inputs, blob, folder, attempt);
      if (!attempt.isFirst) await checkpoints.lay(join(folder, CHECKPOINT.folder));
      await makeStepFolders({ mounts: [OUTPUTS, CHECKPOINT] }, folder);
    });
  const gathered = await gather({ contexts: algoOf(order), blobs: resourcesOf(inputs), onBlobs }, attempt);
  const image = pulled ?? gathered.image({ type: 'algo', uuid: order.algo ?? '' }).prepared;
  const failure = await run(order, image, checkpoints, attempt);
  if (failure === undefined) return await keepOutputs(order, 'done', attempt);
  const result = await keepOutputsOfFailed(order, failure, attempt);
  if (result === undefined) throw failure;
  throw new FailureWithResult(failure, result);
}

function algoOf({ algo }: Job) {
  return algo === undefined ? [] : [{ type: 'algo' as const, uuid: algo }];
}

/** Runs the job; returns how its program has failed, where it has. */
async function run(
  order: Job,
  image: PreparedImage,
  checkpoints: Checkpoints,
  attempt: Attempt,
): Promise<StepFailure | undefined> {
  tellLimits(order, attempt);
  const metrics = attempt.metrics();
  const beside = async (live: LiveRun) => {
    const keeping = checkpoints.keep(CHECKPOINT.container, live);
    await Promise.all([keeping, metrics.follow(METRICS_FILE, live)]);
  };
  try {
    await attempt.step(recipeOf(order), async (start) => await start(image, { beside }));
    return undefined;
  } catch (error) {
    if (error instanceof StepFailure) return error;
    throw error;
  }
}

/** Has a warm runner answer the job, and takes what the call has left. */
async function call(order: Job & { readonly warm: RunnerProtocol }, attempt: Attempt): Promise<void> {
  const { warm: protocol, image, algo, sheep, command: args, env: environment, inputs = [] } = order;
  const bare = sheep && attempt.bareModel(sheep);
  tellLimits(order, attempt);
  const { ofCall, ofRunner } = splitInputs(inputs);
  const gathering = gather({ contexts: [], blobs: resourcesOf(ofCall) }, attempt);
  const request = { protocol, image, algo, bare, args, environment, inputs: ofRunner };
  const planning = planRunner(
    { ...request, ...attempt.ofRunner(limitsOf(order)) },
    (stop) => attempt.supplies(stop),
    attempt.signal,
    attempt.knownKeys,
  );
  const [{ blob }, plan] = await Promise.all([gathering, planning]);
  const { treeLimits: limits, signal } = attempt;
  await attempt.call({
    ...{ step: 'job', plan },
    fill: async (folder) => await fillCall(ofCall, blob, folder, attempt),
    take: async (outputs, folder) =>
      await takeOutputs(outputs, join(folder, OUTPUTS.folder), { limits, signal }),
  });
}

/** Says which limits of the job are those of the worker, since it asks for more. */
function tellLimits({ limits = {} }: Job, attempt: Attempt): void {
  const { wallMs, memoryBytes, diskBytes } = attempt.limits;
  const told = [
    [limits.wall_seconds, wallMs / 1000, `wall_seconds is ${wallMs / 1000}`],
    [limits.memory_bytes, memoryBytes, `memory_bytes is ${memoryBytes}`],
    [limits.disk_bytes, diskBytes, `disk_bytes is ${diskBytes}`],
  ] as const;
  for (const [asked, most, text] of told)
    if (asked !== undefined && asked > most)
      attempt.log('job', `job: ${text}, the most that this worker allows`);
}

/**
 * Pushes what lies in the folder of outputs to a bucket, and packs and stages it as the result with the id that the order
 * has for it, as the order says. Where a bucket alone has it, the result is its manifest there.
 */
async function keepOutputs(
  { output: uuid, outputs = {} }: Job,
  outcome: 'done' | 'failed',
  attempt: Attempt,
): Promise<OrderResult> {
  if (uuid === undefined) throw new PlatformError('internal', 'The job has no id for its outputs.');
  const { bucket, storage = true } = outputs;
  return await attempt.span('results').piece(async () => {
    const folder = attempt.folderOf('job');
    const path = join(folder, 'outputs.tar');
    const from = join(folder, OUTPUTS.folder);
    const log = (text: string) => attempt.log('results', text);
    const scores = outcome === 'done' ? await scoresIn(from, { at: OUTPUTS.container, log }) : {};
    if (bucket !== undefined) {
      const { sha256, size } = await attempt.pushTo(bucket, from, { at: OUTPUTS.container, outcome });
      if (!storage) return { uuid, sha256, size, ...scores };
    }
    const { sha256, size } = await packOutputs(from, { at: OUTPUTS.container, target: path }, attempt);
    await attempt.stage({ type: 'output', uuid, path, sha256, size });
    return { uuid, sha256, size, ...scores };
  });
}

/** The same of a job that has failed; undefined where what it left cannot be kept. */
async function keepOutputsOfFailed(
  order: Job,
  { failure }: StepFailure,
  attempt: Attempt,
): Promise<OrderResult | undefined> {
  // There is too much of it, and not all of it may have come here.
  if (failure.reason === 'disk_full') return undefined;
  try {
    return await keepOutputs(order, 'failed', attempt);
  } catch (error) {
    if (!(error instanceof OrderFailure)) throw error;
    attempt.log('results', `results: what the job left is not kept. ${error.message}`);
    return undefined;
  }
}

function limitsOf({ limits = {} }: Job): NonNullable<Recipe['limits']> {
  const { wall_seconds: seconds, memory_bytes: memoryBytes, disk_bytes: diskBytes } = limits;
  return { wallMs: seconds === undefined ? undefined : seconds * 1000, memoryBytes, diskBytes };
}

function recipeOf(order: Job): Recipe {
  const { command, env = {}, inputs = [] } = order;
  return {
    step: 'job',
    args: command,
    environment: { ...env, ...FOLDER_VARIABLES },
    gpus: true,
    mounts: [...mountsOf(inputs), OUTPUTS, CHECKPOINT],
    limits: limitsOf(order),
  };
}
