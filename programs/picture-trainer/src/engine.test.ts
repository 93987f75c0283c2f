import test from 'ava';
import { describe, type EngineKind, hasNative, openEngine } from './engine.ts';

const isNeeded = (process.env.CI ?? process.env.MORPHEO_REQUIRE_REAL_PARTS) !== undefined;

test('TensorFlow is built here, as programs/picture-trainer/install does', (t) => {
  if (isNeeded) t.true(hasNative());
  else t.pass();
});

const kinds: readonly EngineKind[] = hasNative() ? ['native', 'wasm'] : ['wasm'];
for (const kind of kinds) {
  test.serial(`The engine ${kind} says what it is, and trains a dense network`, async (t) => {
    const engine = await openEngine(kind);
    t.is(engine.name, kind === 'native' ? 'tensorflow' : 'wasm');
    t.regex(
      describe(engine),
      kind === 'native' ? /^tensorflow 2\.\S+ on the [cg]pu$/ : /^wasm 4\.\S+ on the cpu$/,
    );

    const { tf } = engine;
    const model = tf.sequential({
      layers: [tf.layers.dense({ units: 2, inputShape: [2], activation: 'softmax' })],
    });
    model.compile({ optimizer: tf.train.sgd(1), loss: 'categoricalCrossentropy' });
    const pictures = tf.tensor2d([0, 1, 1, 0], [2, 2]);
    const { history } = await model.fit(pictures, tf.tensor2d([1, 0, 0, 1], [2, 2]), {
      epochs: 5,
      verbose: 0,
    });
    const losses = history.loss as number[];
    t.true((losses.at(-1) ?? Number.NaN) < (losses[0] ?? Number.NaN));
  });
}

test.serial('Without a wish the native engine is opened where it is there', async (t) => {
  t.is((await openEngine()).name, hasNative() ? 'tensorflow' : 'wasm');
});
