import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EngineKind, hasNative } from '../engine.ts';
import { placesOf } from '../training/places.ts';
import { train } from '../training/train.ts';
import { CATEGORIES, madeShard, writeShard } from './pictures.ts';

/** The engines that are there. */
export const ENGINES: readonly EngineKind[] = hasNative() ? ['native', 'wasm'] : ['wasm'];

/** Settings of a training of made pictures that takes a moment. */
export const SETTINGS = {
  ...{ version: 1, id: 'bars', seed: 5, network: { preset: 'mlp' }, epochs: 3, batch_size: 32 },
  ...{ held_out: 0.2, noise: 0, categories: [...CATEGORIES] },
};

/** What a run of a training has told. */
export interface Ran {
  readonly end: 'done' | 'stopped';
  readonly said: readonly string[];
}

/** A folder with made pictures, in which trainings run as a job does: each attempt has outputs of its own. */
export async function openTraining(shard = madeShard({ count: 150 })) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'picture-trainer-'));
  const at = (name: string) => join(folder.path, name);
  await writeShard(at('pictures/000'), shard);
  const environment = (outputs: string) => ({
    ...{ TRAINER_PICTURES: at('pictures'), TRAINER_TEST: at('test'), TRAINER_START: at('start') },
    ...{ TRAINER_NETWORK: at('network'), MORPHEO_CHECKPOINT: at('checkpoint'), MORPHEO_OUTPUTS: at(outputs) },
  });
  return {
    at,
    environment,
    /** Writes `settings` over {@link SETTINGS}; returns the path of the file. */
    async settle(settings: object): Promise<string> {
      await writeFile(at('training.json'), JSON.stringify({ ...SETTINGS, ...settings }));
      return at('training.json');
    },
    /** Trains in this process. What `said` throws ends it there, as a kill would. */
    async run(settings: object, outputs: string, how: RunOptions = {}): Promise<Ran> {
      const said: string[] = [];
      const say = (text: string) => {
        said.push(text);
        how.said?.(text);
      };
      const { signal = new AbortController().signal, engine = 'wasm', checkpointMs = 30_000 } = how;
      const places = placesOf({ ...environment(outputs), ...how.environment });
      return {
        end: await train(await this.settle(settings), { places, engine, signal, checkpointMs, say }),
        said,
      };
    },
    /** The lines of `metrics.jsonl`, without the seconds that each epoch took. */
    async lines(outputs: string): Promise<readonly Record<string, unknown>[]> {
      const text = await readFile(join(at(outputs), 'metrics.jsonl'), 'utf8');
      return text
        .trim()
        .split('\n')
        .map((line) => {
          const { seconds: _, ...rest } = JSON.parse(line) as Record<string, unknown>;
          return rest;
        });
    },
    async json(path: string): Promise<Record<string, unknown>> {
      return JSON.parse(await readFile(at(path), 'utf8')) as Record<string, unknown>;
    },
    [Symbol.asyncDispose]: async () => await folder[Symbol.asyncDispose](),
  };
}

/** How a training is run. */
export interface RunOptions {
  readonly engine?: EngineKind;
  readonly signal?: AbortSignal;
  readonly checkpointMs?: number;
  readonly environment?: Readonly<Record<string, string>>;
  said?(text: string): void;
}
