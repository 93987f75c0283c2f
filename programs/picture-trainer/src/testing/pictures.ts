import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomOf } from '../random.ts';

/** Pictures to make: of bars that lie, stand, or cross. */
export interface Made {
  readonly count: number;
  /** Of a side. */
  readonly side?: number;
  readonly seed?: number;
  /** The first so many of {@link CATEGORIES}. */
  readonly categories?: number;
}

/** What made pictures show. */
export const CATEGORIES = ['cross', 'lying', 'standing'] as const;

/** A shard of made pictures, grey and square, their categories in turn. */
export function madeShard({ count, side = 8, seed = 1, categories = CATEGORIES.length }: Made) {
  const random = randomOf(seed, side);
  const pixels = new Uint8Array(count * side * side);
  const names: string[] = [];
  for (let number = 0; number < count; number += 1) {
    const category = CATEGORIES[number % categories] ?? 'cross';
    names.push(category);
    const [row, column] = [random, random].map(({ next }) => 1 + Math.floor(next() * (side - 2)));
    for (let point = 0; point < side * side; point += 1) {
      const [x, y] = [point % side, Math.floor(point / side)];
      const isBar = (category !== 'standing' && y === row) || (category !== 'lying' && x === column);
      pixels[number * side * side + point] = Math.floor(random.next() * 90) + (isBar ? 160 : 0);
    }
  }
  const index = {
    version: 1,
    name: 'bars',
    width: side,
    height: side,
    channels: 1,
    count,
    categories: names,
  };
  return { index, pixels };
}

/** Writes a shard as a folder, which is made. */
export async function writeShard(folder: string, { index, pixels }: ReturnType<typeof madeShard>) {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'index.json'), JSON.stringify(index));
  await writeFile(join(folder, 'pixels.u8'), pixels);
}
