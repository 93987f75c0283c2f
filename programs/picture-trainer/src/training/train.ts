import { existsSync } from 'node:fs';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type EngineKind, openEngine } from '../engine.ts';
import { Network } from '../network/network.ts';
import { demandVariety, type Labelled, labelled } from '../pictures/labelled.ts';
import { readShards, sizeText } from '../pictures/shards.ts';
import { type Split, splitOff } from '../pictures/split.ts';
import { Refusal } from '../refusal.ts';
import { writeKeras } from '../results/keras.ts';
import { type NetworkFile, writeNetwork } from '../results/network-folder.ts';
import { begin } from './beginning.ts';
import { CHECKPOINT_FILE, writeCheckpoint } from './checkpoint.ts';
import { trainEpoch } from './epochs.ts';
import type { Places } from './places.ts';
import { genomeFor, readSettings, type Settings } from './settings.ts';
import type { EpochLine, TrainingState } from './state.ts';

/** What a training is run with. */
export interface TrainOptions {
  readonly places: Places;
  /** Absent: the fastest that is there. */
  readonly engine?: EngineKind | undefined;
  /** When it aborts, the training ends after the batch that it is at, with a checkpoint. */
  readonly signal: AbortSignal;
  /** How much work within an epoch may be lost to a kill (30 seconds). */
  readonly checkpointMs?: number;
  /** Told what people want to know, a sentence at a time. */
  say(text: string): void;
}

/**
 * Trains a network as the file at `settingsPath` says, and writes it, its metrics and its score into the outputs.
 * Resolves with `stopped` where the signal has ended it before.
 *
 * @throws Refusal where pictures, settings or network are such that nothing can be learnt.
 */
export async function train(settingsPath: string, options: TrainOptions): Promise<'done' | 'stopped'> {
  const { places, say, signal } = options;
  const settings = await readSettings(settingsPath);
  const { pictures, measuredOn } = await readPictures(settings, places);
  const { categories } = settings;
  const genome = genomeFor(settings.network, { ...pictures.train, categories: categories.length });
  const engine = await openEngine(options.engine);
  using network = new Network(engine, genome, settings.seed);
  say(`Trains ${network.parameters} parameters with ${describe(engine)}.`);
  const held = pictures.held.labels.length === 0 ? pictures.train : pictures.held;
  say(
    `Learns ${pictures.train.labels.length} pictures of ${sizeText(pictures.train)}, and measures on ${held.labels.length} (${measuredOn}).`,
  );
  let state = await begin(places, { engine, network, held, say });
  await mkdir(places.outputs, { recursive: true });
  await writeFile(metricsPath(places), state.lines.map(lineText).join(''));
  let since = performance.now();
  const shouldStop = () => signal.aborted || performance.now() - since >= (options.checkpointMs ?? 30_000);
  const work = { engine, network, pictures, settings, shouldStop };
  for (let why = endOf(state, settings); why === undefined; why = endOf(state, settings)) {
    state = await trainEpoch(work, state);
    if (places.checkpoint !== undefined)
      await writeCheckpoint(join(places.checkpoint, CHECKPOINT_FILE), { genome, state });
    since = performance.now();
    const line = state.within === undefined ? state.lines.at(-1) : undefined;
    if (line !== undefined) {
      await appendFile(metricsPath(places), lineText(line));
      say(epochText(line));
    }
    if (signal.aborted) {
      const { batch = 0 } = state.within ?? {};
      say(`Stopped in epoch ${state.epoch + 1} after ${batch} batches.`);
      return 'stopped';
    }
  }
  say(endOf(state, settings) ?? '');
  await writeResults(state, { settings, network, measuredOn, places, pictures: pictures.train, engine });
  return 'done';
}

async function readPictures(
  settings: Settings,
  { pictures: folder, test }: Places,
): Promise<{ pictures: Split; measuredOn: NetworkFile['measured_on'] }> {
  if (!existsSync(folder))
    throw new Refusal(
      'There are no pictures to learn from: give shards as inputs at /pictures/train/000 and so on.',
    );
  const all = labelled(await readShards(folder), settings.categories);
  if (!existsSync(test)) {
    const pictures = splitOff(all, settings.held_out, settings.seed);
    demandVariety(pictures.train, settings.categories);
    return { pictures, measuredOn: pictures.held.labels.length === 0 ? 'training' : 'held_out' };
  }
  demandVariety(all, settings.categories);
  const held = labelled(await readShards(test), settings.categories);
  if (sizeText(held) !== sizeText(all))
    throw new Refusal(
      `The test pictures have another size than those to learn from: ${sizeText(held)}, and not ${sizeText(all)}.`,
    );
  if (held.labels.length === 0)
    throw new Refusal('There are no test pictures in the shards at /pictures/test.');
  return { pictures: { train: all, held }, measuredOn: 'test' };
}

/** Why the training is at its end: undefined where it is not. */
function endOf(state: TrainingState, settings: Settings): string | undefined {
  const { epoch, best, improved } = state;
  const { epochs, target_accuracy: target, early_stopping: stopping } = settings;
  if (best !== undefined && target !== undefined && best.accuracy >= target)
    return `Ends in epoch ${epoch}: the accuracy is ${percent(best.accuracy)}, at least the ${percent(target)} that is aimed at.`;
  if (epoch >= epochs) return `Ends: all ${epochs} epochs are done.`;
  if (stopping !== undefined && improved !== undefined && epoch - improved.epoch >= stopping.patience)
    return `Ends in epoch ${epoch}: the accuracy has not improved since epoch ${improved.epoch}.`;
  return undefined;
}

interface ResultsOf {
  readonly settings: Settings;
  readonly network: Network;
  readonly measuredOn: NetworkFile['measured_on'];
  readonly places: Places;
  readonly pictures: Labelled;
  readonly engine: NetworkFile['engine'];
}

async function writeResults(state: TrainingState, of: ResultsOf): Promise<void> {
  const { best } = state;
  if (best === undefined) throw new Error('No epoch was trained.');
  const { settings, network, places, pictures, engine } = of;
  const { width, height, channels } = pictures;
  const { genome } = network;
  const folder = join(places.outputs, 'network');
  const { values, epoch: epochs, accuracy, loss } = best;
  const { name, version, device } = engine;
  await writeNetwork(folder, {
    ...{ genome, categories: settings.categories, width, height, channels, values },
    ...{ accuracy, loss, epochs, measured_on: of.measuredOn, engine: { name, version, device } },
  });
  const keras = (reached: number) =>
    join(folder, 'weights', `${settings.id}.${(reached * 100).toFixed(2)}.hdf5`);
  const last = state.lines.at(-1);
  // The last first, since the best is to stay where both have one name.
  if (last !== undefined) await writeKeras(keras(last.accuracy), genome, state.values);
  await writeKeras(keras(accuracy), genome, values);
  await writeCheckpoint(join(places.outputs, 'epochs', CHECKPOINT_FILE), {
    genome,
    state: { ...state, lines: [] },
  });
  const score = { accuracy, loss, epoch: epochs };
  await writeFile(join(places.outputs, 'score.json'), `${JSON.stringify(score)}\n`);
}

function metricsPath({ outputs }: Places): string {
  return join(outputs, 'metrics.jsonl');
}

function lineText(line: EpochLine): string {
  return `${JSON.stringify(line)}\n`;
}

function epochText(line: EpochLine): string {
  const { epoch, loss, accuracy, train_accuracy: trained, seconds } = line;
  return `Epoch ${epoch}: loss ${loss.toFixed(4)}, accuracy ${percent(accuracy)} (${percent(trained)} of what it learnt), ${seconds} s.`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}
