import test from 'ava';
import { type EngineKind, hasNative, openEngine, type TensorFlow, type TF } from '../engine.ts';

/** An operation of one input, and the sizes that it is tried with. */
interface Case {
  readonly title: string;
  readonly shapes: readonly (readonly number[])[];
  readonly run: (tf: TensorFlow, inputs: readonly TF.Tensor[]) => TF.Tensor;
}

const PADDINGS = ['same', 'valid'] as const;
const SIZES = [
  [9, 9],
  [12, 7],
] as const;

const convolutions = [1, 2, 3, 5].flatMap((kernel) =>
  [1, 2, 3].flatMap((stride) =>
    PADDINGS.flatMap((pad) =>
      SIZES.map(
        ([height, width]): Case => ({
          title: `convolution ${kernel}×${kernel}, stride ${stride}, ${pad}, of ${height}×${width}`,
          shapes: [
            [2, height, width, 3],
            [kernel, kernel, 3, 4],
          ],
          run: (tf, [x, filter]) => tf.conv2d(x as TF.Tensor4D, filter as TF.Tensor4D, stride, pad),
        }),
      ),
    ),
  ),
);

const poolings = (['max', 'avg'] as const).flatMap((kind) =>
  [2, 3].flatMap((window) =>
    [1, 2, 3].flatMap((stride) =>
      PADDINGS.flatMap((pad) =>
        SIZES.map(
          ([height, width]): Case => ({
            title: `${kind} pooling ${window}×${window}, stride ${stride}, ${pad}, of ${height}×${width}`,
            shapes: [[2, height, width, 3]],
            run: (tf, [x]) => tf.pool(x as TF.Tensor4D, window, kind, pad, 1, stride),
          }),
        ),
      ),
    ),
  ),
);

const products = [false, true].flatMap((left) =>
  [false, true].map(
    (right): Case => ({
      title: `product of matrices${left ? ', the left one turned' : ''}${right ? ', the right one turned' : ''}`,
      shapes: [left ? [5, 3] : [3, 5], right ? [4, 5] : [5, 4]],
      run: (tf, [a, b]) => tf.matMul(a as TF.Tensor2D, b as TF.Tensor2D, left, right),
    }),
  ),
);

const activations = (['relu', 'elu', 'selu', 'sigmoid', 'tanh', 'softplus'] as const).map(
  (name): Case => ({ title: name, shapes: [[4, 5]], run: (tf, [x]) => tf[name](x as TF.Tensor) }),
);

const CASES = [...convolutions, ...poolings, ...products, ...activations];

/** Different values, a hundredth apart, around zero or below it, in an order that says nothing: no window has two winners. */
function values(shape: readonly number[], step: number, highest: number): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  return Float32Array.from({ length: count }, (_, index) => highest - 0.01 * ((index * step) % count));
}

/** What an engine makes of a case: its output, and the gradient of the output's weighted sum by each input. */
function outcome(tf: TensorFlow, { shapes, run }: Case, highest: number): Float32Array[] {
  return tf.tidy(() => {
    const inputs = shapes.map((shape) => tf.tensor(values(shape, 271, highest), [...shape]));
    const output = run(tf, inputs);
    const weights = tf.tensor(values(output.shape, 97, 1), output.shape);
    const gradients = tf.grads((...all: TF.Tensor[]) => run(tf, all))(inputs, weights);
    return [output, ...gradients].map((tensor) => tensor.dataSync<'float32'>());
  });
}

function furthest(one: readonly Float32Array[], other: readonly Float32Array[]): number {
  return Math.max(
    ...one.flatMap((list, index) =>
      [...list].map((value, at) => Math.abs(value - (other[index]?.[at] ?? 99))),
    ),
  );
}

const kinds: readonly EngineKind[] = hasNative() ? ['native', 'wasm'] : ['wasm'];

const comparison = hasNative() ? test.serial : test.serial.skip;
comparison('Each kernel and gradient of wasm is that of TensorFlow, whatever the signs', async (t) => {
  for (const highest of [0.5, -1]) {
    const { tf } = await openEngine('native');
    const expected = CASES.map((each) => outcome(tf, each, highest));
    await openEngine('wasm');
    const wrong = CASES.map((each, index) => ({
      title: each.title,
      off: furthest(outcome(tf, each, highest), expected[index] ?? []),
    })).filter(({ off }) => !(off < 1e-3));
    t.deepEqual(wrong, []);
  }
});

for (const kind of kinds) {
  test.serial(`Each gradient of ${kind} is the slope that small steps find`, async (t) => {
    const { tf } = await openEngine(kind);
    const step = 0.002;
    for (const each of CASES) {
      for (const [which, shape] of each.shapes.entries()) {
        const [found, expected] = tf.tidy(() => {
          const inputs = each.shapes.map((size) => tf.tensor(values(size, 271, 0.5), [...size]));
          const direction = tf.tensor(values(shape, 31, 1), [...shape]);
          const along = (by: number) =>
            each.run(
              tf,
              inputs.map((input, index) => (index === which ? input.add(direction.mul(by)) : input)),
            );
          const difference = along(step)
            .sub(along(-step))
            .sum()
            .div(2 * step);
          const gradient = tf.grads((...all: TF.Tensor[]) => each.run(tf, all).sum())(inputs)[which];
          return [difference, gradient?.mul(direction).sum()].map(
            (tensor) => tensor?.dataSync()[0] ?? Number.NaN,
          );
        }) as [number, number];
        t.true(
          Math.abs(found - expected) <= 0.02 * Math.max(1, Math.abs(expected)),
          `${each.title}, input ${which}: ${found}, not ${expected}`,
        );
      }
    }
  });

  test.serial(`Of equal values in a window the first gets the gradient of ${kind}`, async (t) => {
    const { tf } = await openEngine(kind);
    const gradient = tf.grad((x) => tf.maxPool(x as TF.Tensor4D, 2, 2, 'valid'))(tf.zeros([1, 2, 4, 1]));
    t.deepEqual([...gradient.dataSync()], [1, 0, 1, 0, 0, 0, 0, 0]);
  });

  test.serial(`The kernels of ${kind} leave nothing behind`, async (t) => {
    const { tf } = await openEngine(kind);
    const before = tf.memory();
    for (const each of CASES) outcome(tf, each, 0.5);
    t.is(tf.memory().numDataBuffers, before.numDataBuffers);
    t.is(tf.memory().numBytes, before.numBytes);
  });
}
