import { Refusal } from '../refusal.ts';
import type { Pictures } from './shards.ts';

/** Pictures of one size, with the indices of their categories. */
export interface Labelled {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** As those of {@link Pictures}. */
  readonly pixels: Uint8Array;
  readonly labels: Int32Array;
}

/**
 * Pictures with the index of each one's category among `categories`.
 *
 * @throws Refusal where one has a category that is not among them.
 */
export function labelled(pictures: Pictures, categories: readonly string[]): Labelled {
  const indices = new Map(categories.map((name, position) => [name, position]));
  const labels = Int32Array.from(pictures.categories, (name) => {
    const position = indices.get(name);
    if (position === undefined)
      throw new Refusal(
        `There are pictures of the category ${JSON.stringify(name)}, which is not among those of the training.`,
      );
    return position;
  });
  const { width, height, channels, pixels } = pictures;
  return { width, height, channels, pixels, labels };
}

/** How many bytes a picture has. */
export function bytesOf({
  width,
  height,
  channels,
}: Pick<Labelled, 'width' | 'height' | 'channels'>): number {
  return width * height * channels;
}

/** Those of the pictures that these numbers say, in their order. */
export function chosen(from: Labelled, numbers: readonly number[]): Labelled {
  const size = bytesOf(from);
  const pixels = new Uint8Array(numbers.length * size);
  for (const [place, number] of numbers.entries())
    pixels.set(from.pixels.subarray(number * size, (number + 1) * size), place * size);
  return { ...from, pixels, labels: Int32Array.from(numbers, (number) => from.labels[number] ?? 0) };
}

/**
 * Demands pictures that something can be learnt from.
 *
 * @throws Refusal where there is one category alone, one without pictures, or all pictures are alike.
 */
export function demandVariety(pictures: Labelled, categories: readonly string[]): void {
  if (categories.length < 2)
    throw new Refusal('There is one category alone: a network learns to tell at least two apart.');
  const counts = new Uint32Array(categories.length);
  for (const label of pictures.labels) counts[label] = (counts[label] ?? 0) + 1;
  const empty = categories.filter((_, index) => counts[index] === 0);
  if (empty.length > 0)
    throw new Refusal(
      `There are no pictures to learn of ${empty.length === 1 ? 'the category' : 'the categories'} ${empty.map((name) => JSON.stringify(name)).join(', ')}: store some, or leave ${empty.length === 1 ? 'it' : 'them'} out.`,
    );
  const size = bytesOf(pictures);
  const first = Buffer.from(pictures.pixels.buffer, pictures.pixels.byteOffset, size);
  const differs = pictures.labels.some(
    (_, number) => Buffer.compare(first, pictures.pixels.subarray(number * size, (number + 1) * size)) !== 0,
  );
  if (!differs)
    throw new Refusal(
      `All ${pictures.labels.length} pictures to learn from are alike: store pictures that differ.`,
    );
}
