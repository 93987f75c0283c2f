import type { Engine, TF } from '../engine.ts';
import type { Network } from '../network/network.ts';
import { NO_SCORE, type Score, scoreOf, sumOf } from '../network/score.ts';
import { type Batch, batchCount, epochBatches, plainBatches } from '../pictures/batches.ts';
import type { Labelled } from '../pictures/labelled.ts';
import type { Split } from '../pictures/split.ts';
import { Refusal } from '../refusal.ts';
import type { Settings } from './settings.ts';
import type { EpochLine, TrainingState, Within } from './state.ts';

/** What an epoch needs. */
export interface EpochWork {
  readonly engine: Engine;
  readonly network: Network;
  readonly pictures: Split;
  readonly settings: Pick<Settings, 'seed' | 'batch_size' | 'noise' | 'early_stopping'>;
  /** Asked after each batch but the last of an epoch: whether to leave off there for now. */
  shouldStop(): boolean;
}

/** What judges pictures. */
export type Judging = Pick<EpochWork, 'engine' | 'network'>;

/**
 * Trains the next epoch, or the rest of the one that `state` is within, and measures what came of it; returns the state
 * after it. Where it should leave off in between, the state is within that epoch, at least one batch further.
 *
 * @throws Refusal where the loss is no number any more.
 */
export async function trainEpoch(work: EpochWork, state: TrainingState): Promise<TrainingState> {
  const { network, pictures } = work;
  const epoch = state.epoch + 1;
  const within = await learn(work, epoch, state.within ?? { batch: 0, score: NO_SCORE, seconds: 0 });
  const now = {
    values: network.values(),
    optimizer: { slots: network.slots(), step: network.step },
  };
  if (within.isCut) return { ...state, ...now, within: within.so };
  const start = performance.now();
  const measured = await judge(work, pictures.held.labels.length === 0 ? pictures.train : pictures.held);
  const { so } = within;
  const line: EpochLine = {
    epoch,
    loss: rounded(measured.loss / measured.pictures),
    accuracy: measured.right / measured.pictures,
    train_loss: rounded(so.score.loss / so.score.pictures),
    train_accuracy: so.score.right / so.score.pictures,
    seconds: Math.round(so.seconds * 1000 + performance.now() - start) / 1000,
    engine: `${work.engine.name} ${work.engine.version}`,
    device: work.engine.device,
    pictures: so.score.pictures,
  };
  if (!Number.isFinite(line.loss)) throw notANumber(epoch);
  return afterLine({ ...state, ...now, epoch, within: undefined }, line, work.settings);
}

/** The loss and accuracy of a network on pictures as they are. */
export async function judge(work: Judging, pictures: Labelled): Promise<Score> {
  let score = NO_SCORE;
  for await (const { logits, labels } of judgements(work, pictures))
    score = sumOf(score, scoreOf(logits, labels));
  return score;
}

/** What a network makes of pictures as they are, so many at a time: logits, row by row, and what is right. */
export async function* judgements(
  { engine, network }: Judging,
  pictures: Labelled,
): AsyncGenerator<{ readonly logits: Float32Array; readonly labels: Int32Array }> {
  for (const batch of plainBatches(pictures, network.atOnce)) {
    const input = tensorOf(engine, pictures, batch);
    const logits = network.logits(input);
    input.dispose();
    yield { logits, labels: batch.labels };
    await breath();
  }
}

/** Pictures as the engine takes them. */
export function tensorOf(
  { tf }: Engine,
  { width, height, channels }: Pick<Labelled, 'width' | 'height' | 'channels'>,
  { values }: Pick<Batch, 'values'>,
): TF.Tensor4D {
  return tf.tensor4d(values, [values.length / (width * height * channels), height, width, channels]);
}

async function learn(
  { engine, network, pictures, settings, shouldStop }: EpochWork,
  epoch: number,
  from: Within,
): Promise<{ readonly so: Within; readonly isCut: boolean }> {
  const { seed, batch_size: batchSize, noise } = settings;
  const start = performance.now();
  const batches = batchCount(pictures.train, batchSize);
  let { batch, score } = from;
  const soFar = () => ({ batch, score, seconds: from.seconds + (performance.now() - start) / 1000 });
  for (const drawn of epochBatches(pictures.train, { seed, epoch, batchSize, noise }, batch)) {
    const input = tensorOf(engine, pictures.train, drawn);
    const here = network.train(input, drawn.labels, { seed, epoch, batch });
    input.dispose();
    if (!Number.isFinite(here.loss)) throw notANumber(epoch);
    score = sumOf(score, here);
    batch += 1;
    await breath();
    if (batch < batches && shouldStop()) return { so: soFar(), isCut: true };
  }
  return { so: soFar(), isCut: false };
}

function afterLine(
  state: TrainingState,
  line: EpochLine,
  { early_stopping: stopping }: EpochWork['settings'],
): TrainingState {
  const { best, improved, values } = state;
  const { epoch, accuracy, loss } = line;
  const isBest = best === undefined || accuracy > best.accuracy;
  const hasImproved = improved === undefined || accuracy > improved.accuracy + (stopping?.min_delta ?? 0);
  return {
    ...state,
    lines: [...state.lines, line],
    best: isBest ? { epoch, accuracy, loss, values } : best,
    improved: hasImproved ? { epoch, accuracy } : improved,
  };
}

/** Lets a signal be heard, which the engine would keep out for a whole epoch. */
async function breath(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Seven digits are what numbers of 32 bits have. */
function rounded(value: number): number {
  return Number(value.toPrecision(7));
}

function notANumber(epoch: number): Refusal {
  return new Refusal(
    `The loss is no number any more in epoch ${epoch}: the network diverges. Take another optimizer or other activations.`,
  );
}
