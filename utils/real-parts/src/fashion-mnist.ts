import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { partsFolder } from './place.ts';

/** Grey pictures of one size with their categories. */
export interface PictureSet {
  readonly count: number;
  readonly width: number;
  readonly height: number;
  /** A byte a pixel, 0 is the background: picture after picture, row after row. */
  readonly pixels: Uint8Array;
  /** The number of each picture's category. */
  readonly labels: Uint8Array;
}

/** The categories of Fashion-MNIST by their numbers. */
export const FASHION_CATEGORIES = [
  ...['T-shirt', 'Trouser', 'Pullover', 'Dress', 'Coat'],
  ...['Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'],
] as const;

/** Where the files of Fashion-MNIST are, once `make real-parts` has got them. */
export const fashionFolder = join(partsFolder, 'fashion-mnist');

/** Fashion-MNIST: 60,000 pictures of clothes to train with, or the 10,000 to test with, 28 × 28 each. */
export async function fashionMnist(part: 'train' | 'test', folder = fashionFolder): Promise<PictureSet> {
  const prefix = part === 'train' ? 'train' : 't10k';
  const [images, labels] = await Promise.all([
    readIdx(join(folder, `${prefix}-images-idx3-ubyte.gz`)),
    readIdx(join(folder, `${prefix}-labels-idx1-ubyte.gz`)),
  ]);
  const [count = 0, height = 0, width = 0] = images.sizes;
  if (labels.sizes[0] !== count)
    throw new Error(`${folder} has ${count} pictures and ${labels.sizes[0]} labels`);
  return { count, width, height, pixels: images.values, labels: labels.values };
}

/** A file of the form IDX: the sizes of its dimensions, and a byte for each value. */
interface Idx {
  readonly sizes: readonly number[];
  readonly values: Uint8Array;
}

async function readIdx(path: string): Promise<Idx> {
  const bytes = await promisify(gunzip)(await readFile(path));
  const [zero, alsoZero, type, dimensions = 0] = bytes;
  if (zero !== 0 || alsoZero !== 0 || type !== 8) throw new Error(`${path} is no IDX file of bytes`);
  const sizes = Array.from({ length: dimensions }, (_, index) => bytes.readUInt32BE(4 + 4 * index));
  const values = bytes.subarray(4 + 4 * dimensions);
  const expected = sizes.reduce((product, size) => product * size, 1);
  if (values.length !== expected) throw new Error(`${path} has ${values.length} bytes, not ${expected}`);
  return { sizes, values };
}
