import { type Job, MOST_IN_TRAINING, PlatformError, type TrainingRequest } from '@morpheo/common';
import { type Genome, genome, networkShapes, UnbuildableGenome } from '@morpheo/search';
import type { PictureSetRow } from '../db/schema.ts';
import { namedId } from '../sensory/shard.ts';
import type { Snapshot, SnapshotShard } from '../sensory/snapshots.ts';
import type { TrainingDefaults } from './settings.ts';
import { TRAINER_ID, TRAINER_NEEDS } from './trainer.ts';

/** Pictures that a training finds. */
export interface TrainingPictures {
  readonly snapshot: Snapshot;
  readonly shards: readonly SnapshotShard[];
}

/** What a training is made of, all that was asked for decided. */
export interface TrainingParts {
  readonly id: string;
  readonly request: Omit<TrainingRequest, 'id' | 'set' | 'network' | 'start'>;
  readonly network: NonNullable<TrainingRequest['network']>;
  readonly pictures: TrainingPictures;
  readonly test?: TrainingPictures | undefined;
  /** What an earlier training has left. */
  readonly start?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** How many bits of a digest are a seed: the numbers of JSON have 53. */
const SEED_DIGITS = 12;

/** The order of a training: the job that runs the trainer on its pictures. Throws `invalid_request` for too many data sets. */
export function jobOf(parts: TrainingParts, defaults: TrainingDefaults): Job {
  const { id, request, pictures, test, start } = parts;
  const inputs = [...shardsAt('/pictures/train', pictures), ...shardsAt('/pictures/test', test)];
  if (inputs.length > MOST_IN_TRAINING.shards) {
    const message = `The pictures lie in ${inputs.length} data sets, and a training takes ${MOST_IN_TRAINING.shards}: divide them among several sets.`;
    throw new PlatformError('invalid_request', message);
  }
  const settings = settingsOf(parts, defaults);
  return {
    uuid: id,
    algo: TRAINER_ID,
    command: ['train', '/config/training.json'],
    inputs: [
      { path: '/config/training.json', inline: Buffer.from(JSON.stringify(settings)).toString('base64') },
      ...inputs,
      ...(start === undefined
        ? []
        : [{ path: '/start', resource: { type: 'output' as const, uuid: start } }]),
    ],
    output: outputOf(id),
    needs: TRAINER_NEEDS,
    gpus: request.gpus ?? defaults.trainGpus,
    labels: { ...parts.labels },
  };
}

/** What the trainer is told of a training, as `training.json`. */
export function settingsOf(
  { id, request, network, pictures }: TrainingParts,
  defaults: TrainingDefaults,
): Readonly<Record<string, unknown>> {
  return {
    ...{ version: 1, id, network, categories: pictures.snapshot.categories },
    seed: request.seed ?? Number.parseInt(namedId(`seed:${id}`).replaceAll('-', '').slice(-SEED_DIGITS), 16),
    epochs: request.epochs ?? defaults.trainEpochs,
    batch_size: request.batch_size ?? defaults.trainBatchSize,
    held_out: request.held_out ?? defaults.trainHeldOut,
    noise: request.noise ?? 0,
    ...(request.early_stopping === undefined ? {} : { early_stopping: request.early_stopping }),
    ...(request.target_accuracy === undefined ? {} : { target_accuracy: request.target_accuracy }),
  };
}

/** What a training leaves is called on storage. */
export function outputOf(training: string): string {
  return namedId(`output:${training}`);
}

/**
 * The network of a request. Throws `invalid_request` where it is no genome, cannot be built, or is for other pictures or
 * another number of categories than there are.
 */
export function networkOf(
  network: TrainingRequest['network'],
  { trainNetwork: preset }: Pick<TrainingDefaults, 'trainNetwork'>,
  task: { readonly set: PictureSetRow; readonly categories: readonly string[] },
): NonNullable<TrainingRequest['network']> {
  if (network === undefined) return { preset };
  if (!('layers' in network)) return network;
  const read = genome.safeParse(network);
  if (!read.success) {
    const [issue] = read.error.issues;
    throw wrong(`is no genome: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
  }
  demandBuildable(read.data);
  const { width, height, channels } = task.set;
  const { input_shape: input, output_size: outputs } = read.data;
  const fits =
    typeof input === 'number'
      ? input === width * height * channels
      : input.join() === [width, height, channels].join();
  if (!fits)
    throw wrong(
      `is for pictures of ${[input].flat().join(' × ')}, and these have ${width} × ${height} × ${channels}`,
    );
  if (outputs !== task.categories.length)
    throw wrong(`is for ${outputs} categories, and there are ${task.categories.length}`);
  return read.data;
}

function demandBuildable(read: Genome): void {
  try {
    networkShapes(read);
  } catch (error) {
    if (!(error instanceof UnbuildableGenome)) throw error;
    throw wrong(`cannot be built: ${error.message}`);
  }
}

function wrong(what: string): PlatformError {
  return new PlatformError('invalid_request', `The network ${what.replace(/\.$/, '')}.`);
}

function shardsAt(folder: string, pictures: TrainingPictures | undefined) {
  return (pictures?.shards ?? []).map(({ resource }, at) => ({
    path: `${folder}/${String(at).padStart(3, '0')}`,
    resource: { type: 'data' as const, uuid: resource },
    unpack: true,
  }));
}
