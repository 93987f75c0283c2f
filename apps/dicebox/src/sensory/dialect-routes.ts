import {
  type Call,
  type DICEBOX_SENSORY,
  type Handlers,
  PICTURE_BOUNDS,
  PlatformError,
} from '@morpheo/common';
import { readBase64 } from '../pixels/picture.ts';
import { demandPictures, randomSeed } from './batches.ts';
import type { SensoryParts } from './parts.ts';
import type { Draw } from './samples.ts';
import { pictureBytes } from './shard.ts';
import { prepare, storePictures } from './store.ts';
import type { LabelledSet } from './views.ts';

type Routes = Handlers<(typeof DICEBOX_SENSORY)['2017']> & Handlers<(typeof DICEBOX_SENSORY)['2019']>;

/** What answers the routes of the originals; names, statuses and the order of pixels are as there. */
export function dialectRoutes(parts: SensoryParts): Routes {
  const { database, sets, batches, samples, labelled, giving } = parts;
  return {
    async sensoryCategories({ query }, call) {
      const set = await sets.find(ownerOf(call), query);
      const categories = await sets.categories(set);
      return { category_map: Object.fromEntries(categories.map(({ name }, index) => [name, index])) };
    },
    async storePicture({ body }, call) {
      const { category, data, ...key } = body;
      const shape = await sets.shapeOf(ownerOf(call), key);
      const picture = await prepare(shape, { category, bytes: readBase64(data, '`data`') });
      const set = await sets.make(ownerOf(call), key);
      await storePictures(database, set.id, [picture]);
      parts.wakePacking();
      return { sensory_store: true };
    },
    async requestSamples({ body }, call) {
      const { batch_size: size, noise, ...key } = body;
      const found = await sets.find(ownerOf(call), key);
      demandPictures(found, size);
      const view = await labelled.of(found.id, found.pictures);
      demandRoom(view, size);
      const draw: Draw = { seed: randomSeed(), pictures: found.pictures, noise };
      const answer: { labels: number[][]; data: number[][] } = { labels: [], data: [] };
      for await (const sample of samples.first(view.set, draw, size)) {
        answer.labels.push(oneHot(view, sample.category));
        answer.data.push(byColumns(view.set, sample.pixels));
      }
      return answer;
    },
    async orderBatch({ body }, call) {
      const { batch_size: size, noise, ...key } = body;
      const set = await sets.find(ownerOf(call), key);
      const { id } = await batches.order(ownerOf(call), set, { size, noise });
      return { batch_id: id };
    },
    async pollBatch({ body }, call) {
      const given = await batches.poll(body.batch_id, ownerOf(call));
      if (given === undefined) return { label: null, data: null };
      return await giving.answer(given, call?.sent, async () => {
        const view = await labelled.of(given.batch.set_id, given.batch.pictures);
        const sample = await samples.make(view.set, given.batch, given.sample, given.picture);
        return { label: oneHot(view, sample.category), data: byColumns(view.set, sample.pixels) };
      });
    },
  };
}

/** Whose sets a caller works with. */
export function ownerOf(call: Call | undefined): string {
  return call?.principal?.name ?? '';
}

/** Throws `invalid_request` where the answer would be more than is made as a whole, with how many samples are not. */
function demandRoom({ set, categories }: LabelledSet, size: number): void {
  const most = Math.max(1, Math.floor(PICTURE_BOUNDS.numbers / (pictureBytes(set) + categories.length)));
  if (size <= most) return;
  const message = `An answer has at most ${PICTURE_BOUNDS.numbers} numbers, which are ${most} pictures of this set, and ${size} were asked for: order a batch, and poll it.`;
  throw new PlatformError('invalid_request', message, { details: { limit: most } });
}

function oneHot({ categories, indexes }: LabelledSet, category: string): number[] {
  const label = new Array<number>(categories.length).fill(0);
  const index = indexes.get(category);
  if (index !== undefined) label[index] = 1;
  return label;
}

/** The original goes through a picture column by column: what reads it as rows has it lying on its side. */
function byColumns({ width, height, channels }: LabelledSet['set'], pixels: Uint8Array): number[] {
  const data = new Array<number>(pixels.length);
  let at = 0;
  for (let x = 0; x < width; x += 1) {
    for (let y = 0; y < height; y += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        data[at] = pixels[(y * width + x) * channels + channel] ?? 0;
        at += 1;
      }
    }
  }
  return data;
}
