import { hash } from 'node:crypto';
import { bytesOf, chosen, type Labelled } from './labelled.ts';

/** Which pictures a network learns from, and which its accuracy is measured on. */
export interface Split {
  readonly train: Labelled;
  readonly held: Labelled;
}

/**
 * Holds a share of each category back. Which pictures that are says the digest of their pixels together with `seed`,
 * so that neither their order nor the shards they lie in matter, and pictures that are alike mostly stay together.
 * Of each category with two pictures or more at least one is on either side, where `share` is not 0.
 */
export function splitOff(pictures: Labelled, share: number, seed: number): Split {
  const [train, held]: [number[], number[]] = [[], []];
  for (const numbers of byCategory(pictures)) {
    const ranked = numbers
      .map((number) => ({ number, rank: rankOf(pictures, number, seed) }))
      .toSorted((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : a.number - b.number));
    const count = heldOf(ranked.length, share);
    held.push(...ranked.slice(0, count).map(({ number }) => number));
    train.push(...ranked.slice(count).map(({ number }) => number));
  }
  const ordered = (numbers: number[]) =>
    chosen(
      pictures,
      numbers.toSorted((a, b) => a - b),
    );
  return { train: ordered(train), held: ordered(held) };
}

function heldOf(count: number, share: number): number {
  if (share === 0 || count < 2) return 0;
  return Math.min(Math.max(Math.round(count * share), 1), count - 1);
}

function byCategory({ labels }: Labelled): Iterable<readonly number[]> {
  const categories = new Map<number, number[]>();
  for (const [number, label] of labels.entries()) {
    const found = categories.get(label) ?? [];
    categories.set(label, found);
    found.push(number);
  }
  return categories.values();
}

function rankOf(pictures: Labelled, number: number, seed: number): string {
  const size = bytesOf(pictures);
  const pixels = hash('sha1', pictures.pixels.subarray(number * size, (number + 1) * size), 'hex');
  return hash('sha1', `${seed}:${pixels}`, 'hex');
}
