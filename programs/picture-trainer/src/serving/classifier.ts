import type { Engine } from '../engine.ts';
import { Network } from '../network/network.ts';
import { sizeText } from '../pictures/shards.ts';
import type { StoredNetwork } from '../results/network-folder.ts';
import { tensorOf } from '../training/epochs.ts';

/** A trained network that answers what pictures show. */
export class Classifier {
  readonly categories: readonly string[];
  /** How many bytes a picture has. */
  readonly pictureBytes: number;
  /** Width, height and channels, for people. */
  readonly size: string;
  readonly #stored: StoredNetwork;
  readonly #engine: Engine;
  readonly #network: Network;

  /** Throws `Refusal` where the network cannot be built. */
  constructor(engine: Engine, stored: StoredNetwork) {
    this.#engine = engine;
    this.#stored = stored;
    this.#network = new Network(engine, stored.genome, 0);
    this.#network.restore(stored.values);
    this.categories = stored.categories;
    this.pictureBytes = stored.width * stored.height * stored.channels;
    this.size = sizeText(stored);
  }

  /** How probable each category is for each picture, row by row; the bytes are picture after picture. */
  probabilities(pixels: Uint8Array): Float32Array {
    const [width, count] = [this.categories.length, pixels.length / this.pictureBytes];
    const rows = new Float32Array(count * width);
    const { atOnce } = this.#network;
    for (let from = 0; from < count; from += atOnce) {
      const part = pixels.subarray(from * this.pictureBytes, (from + atOnce) * this.pictureBytes);
      const values = new Float32Array(part.length);
      // Ten times as fast as to map them.
      for (let index = 0; index < part.length; index += 1) values[index] = (part[index] ?? 0) / 255;
      const input = tensorOf(this.#engine, this.#stored, { values });
      rows.set(this.#network.predict(input), from * width);
      input.dispose();
    }
    return rows;
  }
}
