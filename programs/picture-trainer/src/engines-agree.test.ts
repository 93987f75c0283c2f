import test from 'ava';
import { type EngineKind, hasNative, openEngine, type TensorFlow } from './engine.ts';

const STEPS = 10;

/** A small network for pictures of 12 × 12, whose weights are drawn by a seed. */
function network(tf: TensorFlow) {
  const weights = (seed: number) => ({ kernelInitializer: tf.initializers.glorotUniform({ seed }) });
  const { conv2d, maxPooling2d, averagePooling2d, flatten, dense } = tf.layers;
  const model = tf.sequential({
    layers: [
      conv2d({ filters: 8, kernelSize: 3, activation: 'relu', inputShape: [12, 12, 1], ...weights(1) }),
      maxPooling2d({ poolSize: 2 }),
      conv2d({ filters: 8, kernelSize: 3, strides: 2, padding: 'same', activation: 'tanh', ...weights(2) }),
      averagePooling2d({ poolSize: 2, strides: 1, padding: 'same' }),
      flatten(),
      dense({ units: 4, activation: 'softmax', ...weights(3) }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy' });
  return model;
}

/** The losses of the first steps with 32 pictures each. */
async function losses(kind: EngineKind): Promise<number[]> {
  const { tf } = await openEngine(kind);
  const model = network(tf);
  const pictures = tf.randomUniform([STEPS * 32, 12, 12, 1], 0, 1, 'float32', 5);
  // A category says which quarter of the picture is the brightest.
  const quarters = tf.avgPool(pictures as ReturnType<typeof tf.tensor4d>, 6, 6, 'valid').reshape([-1, 4]);
  const categories = tf.oneHot(quarters.argMax(1), 4);
  const found: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const batch = [pictures, categories].map((all) => all.slice([step * 32], [32])) as [
      typeof pictures,
      typeof categories,
    ];
    found.push((await model.trainOnBatch(...batch)) as number);
  }
  return found;
}

const comparison = hasNative() ? test.serial : test.serial.skip;
comparison('The same network, seed and pictures give the same losses on both engines', async (t) => {
  const native = await losses('native');
  const wasm = await losses('wasm');
  t.is(wasm.length, STEPS);
  for (const [step, loss] of wasm.entries()) {
    t.true(
      Math.abs(loss - (native[step] ?? Number.NaN)) < 1e-3,
      `step ${step}: ${loss}, not ${native[step]}`,
    );
  }
  t.true((native.at(-1) ?? Number.NaN) < (native[0] ?? Number.NaN));
});
