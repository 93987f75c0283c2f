import * as tf from '@tensorflow/tfjs';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { averagePoolGradient, maxPoolGradient, type PoolingGradient } from './pooling.ts';

type Attributes = tf.NamedAttrMap;
type Inputs = Readonly<Record<string, tf.TensorInfo>>;
type Kernel = (call: { inputs: Inputs; attrs: Attributes; backend: BackendWasm }) => tf.TensorInfo;
/** Runs a kernel of the backend; what it returns goes when the kernel that ran it ends, but for that one's result. */
type Run = (name: string, inputs: Inputs, attrs: Attributes) => tf.TensorInfo;
type Size = [number, number];
type Shape4 = [number, number, number, number];
type Convolution = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

/**
 * Adds to the backend wasm the kernels that networks of convolutions need for training, and takes the place of those that
 * are wrong or slow there. Each is made of kernels that are right and fast: a gradient of a convolution is a
 * convolution itself. A second call changes nothing; the package of the backend must be loaded.
 */
export function addWasmKernels(): void {
  if (tf.getKernel('Conv2DBackpropFilter', 'wasm')) return;
  register('Conv2DBackpropFilter', filterGradient);
  register('ReluGrad', reluGradient);
  replace('Conv2DBackpropInput', () => inputGradient);
  // Wrong where the largest value of a window is not positive.
  replace('MaxPoolGrad', () => poolingGradient(maxPoolGradient));
  // Wrong at the edges of pictures that are padded.
  replace('AvgPoolGrad', () => poolingGradient(averagePoolGradient));
  for (const name of ['Conv2D', 'FusedConv2D']) replace(name, withExplicitPadding);
  replace('BatchMatMul', withoutTransposing);
}

function register(kernelName: string, kernel: Kernel, setupFunc?: tf.KernelSetupFunc): void {
  // The registry has one type for the kernels of all backends.
  const kernelFunc = kernel as unknown as tf.KernelFunc;
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc, ...(setupFunc && { setupFunc }) });
}

function replace(name: string, make: (former: Kernel) => Kernel): void {
  const former = configOf(name);
  tf.unregisterKernel(name, 'wasm');
  // What the former one sets up when the backend starts is still needed.
  register(name, make(former.kernelFunc as unknown as Kernel), former.setupFunc);
}

function configOf(name: string): tf.KernelConfig {
  const config = tf.getKernel(name, 'wasm');
  if (config === undefined) throw new Error(`The backend wasm has no kernel ${name}`);
  return config;
}

/** Calls `work`, and disposes of everything that it made on the way. */
function scratch(backend: BackendWasm, work: (run: Run) => tf.TensorInfo): tf.TensorInfo {
  const made: tf.TensorInfo[] = [];
  const result = work((name, inputs, attrs) => {
    const kernel = configOf(name).kernelFunc as unknown as Kernel;
    const output = kernel({ inputs, attrs, backend });
    made.push(output);
    return output;
  });
  for (const info of made) if (info !== result) backend.disposeData(info.dataId);
  return result;
}

/** dL/dfilter: the pictures' channels become the batch, and the batch the channels; the stride becomes the dilation. */
const filterGradient: Kernel = ({ inputs, attrs, backend }) => {
  const { x, dy } = named(inputs, 'x', 'dy');
  const convolution = convolutionOf(x.shape, attrs.filterShape as Shape4, attrs);
  const { filterHeight, filterWidth, inHeight, inWidth, outHeight, outWidth, padInfo } = convolution;
  const dilations: Size = [convolution.strideHeight, convolution.strideWidth];
  const pad = explicit(
    paddingFor(filterHeight, inHeight, (outHeight - 1) * dilations[0] + 1, padInfo.top),
    paddingFor(filterWidth, inWidth, (outWidth - 1) * dilations[1] + 1, padInfo.left),
  );
  return scratch(backend, (run) => {
    const pictures = run('Transpose', { x }, { perm: [3, 1, 2, 0] });
    const filter = run('Transpose', { x: dy }, { perm: [1, 2, 0, 3] });
    const all = run('Conv2D', { x: pictures, filter }, { ...PLAIN, dilations, pad });
    const gradient = crop(run, all, [filterHeight, filterWidth]);
    return run('Transpose', { x: gradient }, { perm: [1, 2, 0, 3] });
  });
};

/** dL/dx: dy, with zeros between its values where the stride left some out, convolved with the filter upside down. */
const inputGradient: Kernel = ({ inputs, attrs, backend }) => {
  const { dy, filter } = named(inputs, 'dy', 'filter');
  const convolution = convolutionOf(attrs.inputShape as Shape4, filter.shape, attrs);
  const { filterHeight, filterWidth, inHeight, inWidth, outHeight, outWidth, padInfo } = convolution;
  const { strideHeight, strideWidth } = convolution;
  const pad = explicit(
    paddingFor(inHeight, outHeight * strideHeight, filterHeight, filterHeight - 1 - padInfo.top),
    paddingFor(inWidth, outWidth * strideWidth, filterWidth, filterWidth - 1 - padInfo.left),
  );
  return scratch(backend, (run) => {
    const spread = spreadOut(run, dy, [strideHeight, strideWidth]);
    const turned = run('Reverse', { x: filter }, { dims: [0, 1] });
    const swapped = run('Transpose', { x: turned }, { perm: [0, 1, 3, 2] });
    const all = run('Conv2D', { x: spread, filter: swapped }, { ...PLAIN, dilations: [1, 1], pad });
    return crop(run, all, [inHeight, inWidth]);
  });
};

const reluGradient: Kernel = ({ inputs, backend }) => {
  const { dy, y } = named(inputs, 'dy', 'y');
  const dx = backend.makeOutput(y.shape, y.dtype);
  // Views of the backend's memory, which the line above may have moved.
  const view = (info: tf.TensorInfo) => backend.typedArrayFromHeap(info) as Float32Array;
  const [gradient, values, target] = [view(dy), view(y), view(dx)];
  for (let index = 0; index < target.length; index++) {
    target[index] = (values[index] as number) > 0 ? (gradient[index] as number) : 0;
  }
  return dx;
};

function poolingGradient(gradientOf: PoolingGradient): Kernel {
  return ({ inputs, attrs, backend }) => {
    const { dy, input } = named(inputs, 'dy', 'input');
    const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as PoolingAttributes;
    const pooling = tf.backend_util.computePool2DInfo(
      ...([input.shape as Shape4, filterSize, strides, 1, pad, dimRoundingMode] as const),
    );
    const dx = backend.makeOutput(input.shape, input.dtype);
    // Views of the backend's memory, which the line above may have moved.
    const view = (info: tf.TensorInfo) => backend.typedArrayFromHeap(info) as Float32Array;
    gradientOf(pooling, view(input), view(dy), view(dx));
    return dx;
  };
}

/** The backend is wrong about padding `same` where the filter is smaller than the stride. */
function withExplicitPadding(former: Kernel): Kernel {
  return (call) => {
    if (call.attrs.pad !== 'same') return former(call);
    const { x, filter } = named(call.inputs, 'x', 'filter');
    const { top, bottom, left, right } = convolutionOf(x.shape, filter.shape, call.attrs).padInfo;
    const pad = explicit([top, bottom], [left, right]);
    return former({ ...call, attrs: { ...call.attrs, pad } });
  };
}

/** The backend multiplies matrices fast that need no transposing, and transposes fast. */
function withoutTransposing(former: Kernel): Kernel {
  return (call) => {
    const { transposeA, transposeB } = call.attrs;
    if (!transposeA && !transposeB) return former(call);
    return scratch(call.backend, (run) => {
      const { a, b } = named(call.inputs, 'a', 'b');
      const inputs = { a: transposeA ? turn(run, a) : a, b: transposeB ? turn(run, b) : b };
      return former({ ...call, inputs, attrs: { transposeA: false, transposeB: false } });
    });
  };
}

function turn(run: Run, x: tf.TensorInfo): tf.TensorInfo {
  const axes = x.shape.map((_, axis) => axis);
  return run('Transpose', { x }, { perm: [...axes.slice(0, -2), ...axes.slice(-2).reverse()] });
}

/** The rest of what a convolution is told, where it has no stride. */
const PLAIN = { strides: [1, 1], dataFormat: 'NHWC' };

interface PoolingAttributes {
  readonly filterSize: Size | number;
  readonly strides: Size | number;
  readonly pad: 'valid' | 'same' | number;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

type ConvolutionAttributes = Omit<PoolingAttributes, 'filterSize'> & { readonly dilations?: Size | number };

function convolutionOf(input: readonly number[], filter: readonly number[], attrs: Attributes): Convolution {
  const { strides, pad, dilations = 1, dimRoundingMode } = attrs as unknown as ConvolutionAttributes;
  return tf.backend_util.computeConv2DInfo(
    ...([input as Shape4, filter as Shape4, strides, dilations, pad, dimRoundingMode] as const),
  );
}

function named<Name extends string>(inputs: Inputs, ...names: Name[]): Record<Name, tf.TensorInfo> {
  return Object.fromEntries(names.map((name) => [name, inputs[name]])) as Record<Name, tf.TensorInfo>;
}

/** The padding before and after with which a filter over an input makes at least so many outputs. */
function paddingFor(outputs: number, input: number, filter: number, before: number): Size {
  return [before, Math.max(outputs + filter - 1 - input - before, 0)];
}

function explicit(rows: Size, columns: Size): number[][] {
  return [[0, 0], rows, columns, [0, 0]];
}

/** The upper left corner of each picture. */
function crop(run: Run, x: tf.TensorInfo, [height, width]: Size): tf.TensorInfo {
  const [batch, rows, columns, channels] = x.shape as Shape4;
  if (rows === height && columns === width) return x;
  return run('Slice', { x }, { begin: [0, 0, 0, 0], size: [batch, height, width, channels] });
}

/** Each value followed by as many zeros as the stride left out, in rows and in columns. */
function spreadOut(run: Run, x: tf.TensorInfo, [rowStride, columnStride]: Size): tf.TensorInfo {
  const [batch, rows, columns, channels] = x.shape as Shape4;
  const wide = zerosAfter(run, x, [batch * rows * columns, channels], columnStride);
  const high = zerosAfter(run, wide, [batch * rows, columns * columnStride * channels], rowStride);
  const shape = [batch, rows * rowStride, columns * columnStride, channels];
  return run('Reshape', { x: high }, { shape });
}

/** As a matrix of `shape` whose rows are `times` as long, filled up with zeros. */
function zerosAfter(run: Run, x: tf.TensorInfo, shape: Size, times: number): tf.TensorInfo {
  if (times === 1) return x;
  const matrix = run('Reshape', { x }, { shape });
  const paddings = [
    [0, 0],
    [0, shape[1] * (times - 1)],
  ];
  return run('PadV2', { x: matrix }, { paddings, constantValue: 0 });
}
