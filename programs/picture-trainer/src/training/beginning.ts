import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../engine.ts';
import type { Genome } from '../genome/genome.ts';
import type { Network } from '../network/network.ts';
import type { Labelled } from '../pictures/labelled.ts';
import { Refusal } from '../refusal.ts';
import { isSameGenome, readNetwork } from '../results/network-folder.ts';
import { CHECKPOINT_FILE, type Checkpoint, readCheckpoint } from './checkpoint.ts';
import { judge } from './epochs.ts';
import type { Places } from './places.ts';
import type { TrainingState } from './state.ts';

/** What a training begins with. */
export interface Beginning {
  readonly engine: Engine;
  readonly network: Network;
  /** What its accuracy is measured on. */
  readonly held: Labelled;
  say(text: string): void;
}

/**
 * The state that a training begins with, which is the network's too then: that of the checkpoint where an earlier
 * attempt has left one, else that of the outputs at `/start`, else that of a new network.
 *
 * @throws Refusal where the network at `/start` is another one, or damaged.
 */
export async function begin(places: Places, beginning: Beginning): Promise<TrainingState> {
  const { network, say } = beginning;
  const kept = await keptState(places, network, say);
  if (kept !== undefined) {
    network.restore(kept.values, kept.optimizer);
    const batch = kept.within === undefined ? '' : `, batch ${kept.within.batch} of the next`;
    say(`Goes on from its checkpoint: epoch ${kept.epoch}${batch}.`);
    return kept;
  }
  if (existsSync(places.start)) return await fromStart(places.start, beginning);
  return {
    ...{ epoch: 0, lines: [], best: undefined, improved: undefined, within: undefined },
    values: network.values(),
    optimizer: { slots: network.slots(), step: 0 },
  };
}

/** Undefined where there is no checkpoint that this training can go on from. */
async function keptState(
  { checkpoint }: Places,
  network: Network,
  say: Beginning['say'],
): Promise<TrainingState | undefined> {
  if (checkpoint === undefined) return undefined;
  try {
    const found = await readCheckpoint(join(checkpoint, CHECKPOINT_FILE));
    if (found === undefined) return undefined;
    if (fits(found, network.genome, network)) return found.state;
    say('The checkpoint is that of another network: it is left aside.');
  } catch (error) {
    say(
      `The checkpoint is left aside, since it is damaged: ${error instanceof Error ? error.message : error}.`,
    );
  }
  return undefined;
}

async function fromStart(folder: string, { engine, network, held, say }: Beginning): Promise<TrainingState> {
  const { genome, ...start } = await startOf(folder);
  if (!isSameGenome(genome, network.genome))
    throw new Refusal(
      'The training cannot go on from /start: its network is another one than the settings name.',
    );
  network.restore(start.values, start.optimizer);
  say(`Goes on from /start: epoch ${start.epoch}.`);
  const best = start.best ?? { epoch: start.epoch, values: start.values };
  // The pictures to measure on may be others now.
  network.restore(best.values);
  const score = await judge({ engine, network }, held);
  const [accuracy, loss] = [score.right / score.pictures, score.loss / score.pictures];
  network.restore(start.values, start.optimizer);
  return {
    ...{ epoch: start.epoch, values: start.values, lines: [], within: undefined },
    optimizer: { slots: network.slots(), step: network.step },
    best: { epoch: best.epoch, values: best.values, accuracy, loss },
    improved: { epoch: start.epoch, accuracy },
  };
}

type Start = Pick<TrainingState, 'epoch' | 'values'> & {
  readonly genome: Genome;
  readonly optimizer?: TrainingState['optimizer'];
  readonly best?: { readonly epoch: number; readonly values: Float32Array } | undefined;
};

/** With the state of the optimizer, where the outputs have it. */
async function startOf(folder: string): Promise<Start> {
  try {
    const found = await readCheckpoint(join(folder, 'epochs', CHECKPOINT_FILE));
    if (found !== undefined) {
      const { epoch, values, optimizer, best } = found.state;
      return { genome: found.genome, epoch, values, optimizer, best };
    }
  } catch (error) {
    throw new Refusal(
      `The training cannot go on from /start: its epochs/${CHECKPOINT_FILE} is damaged: ${error instanceof Error ? error.message : error}.`,
    );
  }
  const { genome, epochs, values } = await readNetwork(join(folder, 'network'));
  return { genome, epoch: epochs, values };
}

function fits({ genome, state }: Checkpoint, wanted: Genome, network: Network): boolean {
  return isSameGenome(genome, wanted) && network.fits(state.values.length, state.optimizer.slots.length);
}
