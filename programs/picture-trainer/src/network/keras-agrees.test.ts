import { readFile } from 'node:fs/promises';
import test from 'ava';
import { openEngine, type TF } from '../engine.ts';
import { ACTIVATIONS, OPTIMIZERS } from '../genome/genome.ts';
import { ENGINES } from '../testing/training.ts';
import { activate } from './activations.ts';
import { optimizerOf, type Weights } from './optimizers.ts';

// What Keras 2.15 computes: three steps of each optimizer with its default settings, each activation of some numbers.
async function ofKeras<Of>(name: string): Promise<Of> {
  const path = new URL(`../../fixtures/keras/${name}.json`, import.meta.url);
  return JSON.parse(await readFile(path, 'utf8')) as Of;
}

interface Steps {
  readonly start: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly after: Readonly<Record<string, readonly (readonly number[])[]>>;
}

interface Applied {
  readonly input: readonly number[];
  readonly output: Readonly<Record<string, readonly number[]>>;
}

for (const kind of ENGINES) {
  test.serial(`Each optimizer does what that of Keras does (${kind})`, async (t) => {
    const { tf } = await openEngine(kind);
    const { start, gradients, after } = await ofKeras<Steps>('optimizers');
    for (const name of OPTIMIZERS) {
      const optimizer = optimizerOf(name);
      const slots = optimizer.slots.map((first) => tf.fill<TF.Rank.R1>([start.length], first));
      let weights: Weights = { values: tf.tensor1d([...start]), slots };
      for (const [index, gradient] of gradients.entries()) {
        weights = optimizer.next(tf, weights, tf.tensor1d([...gradient]), index + 1);
        const values = weights.values.dataSync();
        for (const [place, expected] of (after[name]?.[index] ?? []).entries()) {
          const off = Math.abs((values[place] ?? Number.NaN) - expected);
          t.true(off < 2e-6, `${name}, step ${index + 1}, weight ${place}: off by ${off}`);
        }
      }
    }
  });

  test.serial(`Each activation does what that of Keras does (${kind})`, async (t) => {
    const { tf } = await openEngine(kind);
    const { input, output } = await ofKeras<Applied>('activations');
    for (const name of ACTIVATIONS) {
      const values = activate(tf, name, tf.tensor2d([[...input]])).dataSync();
      t.is(output[name]?.length, values.length);
      for (const [place, expected] of (output[name] ?? []).entries()) {
        const off = Math.abs((values[place] ?? Number.NaN) - expected);
        t.true(off < 1e-5 * Math.max(1, expected), `${name} of ${input[place]}: off by ${off}`);
      }
    }
  });
}
